package readme

import (
	"crypto/tls"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	contrib "github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/prom"
	"github.com/quietws/quietws/health"
)

// structs are the structs whose fields the text names, by their names there.
var structs = map[string]any{
	"Config": core.Config{}, "core.Config": core.Config{}, "Drain": core.DrainConfig{}, "Routes": core.Routes{},
	"core.DrainConfig": core.DrainConfig{}, "DrainConfig": core.DrainConfig{},
	"health.Config": health.Config{}, "health.Check": health.Check{},
	"fiber.Config": fiber.Config{}, "websocket.Config": contrib.Config{}, "tls.Config": tls.Config{},
}

var field = regexp.MustCompile(`\b((?:\w+\.)?(?:Config|DrainConfig|Drain|Routes|Check))\.([A-Z]\w*)\b`)

func TestFieldsExist(t *testing.T) {
	for _, page := range append(languages, "CONTRIBUTING.md") {
		found := 0
		for _, m := range field.FindAllStringSubmatch(contents(t, page), -1) {
			s, ok := structs[m[1]]
			if m[1] == "Guard.Drain" || m[1] == "guard.Drain" {
				continue
			}
			if m[1] == "Config.Drain" || m[1] == "Config.Routes" {
				s, ok = structs[strings.TrimPrefix(m[1], "Config.")], true
			}
			if !ok {
				t.Errorf("%s: unknown struct %s", page, m[1])
				continue
			}
			found++
			if _, ok := reflect.TypeOf(s).FieldByName(m[2]); !ok {
				t.Errorf("%s: %s has no field %s", page, m[1], m[2])
			}
		}
		if found == 0 && page != "CONTRIBUTING.md" {
			t.Errorf("%s names no field", page)
		}
	}
}

// The table of defaults has exactly the fields of core.Config.
func TestDefaultsHaveEveryField(t *testing.T) {
	for _, page := range languages {
		_, rest, ok := strings.Cut(contents(t, page), "| `core.Config` |")
		if !ok {
			t.Fatalf("%s has no table of defaults", page)
		}
		table, _, _ := strings.Cut(rest, "\n\n")
		var got []string
		for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(table, -1) {
			got = append(got, m[1])
		}
		var want []string
		for _, f := range reflect.VisibleFields(reflect.TypeFor[core.Config]()) {
			want = append(want, f.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", page, got, want)
		}
	}
}

var (
	metric = regexp.MustCompile(`quietws_[a-z_]+`)
	snake  = regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)+$`)
)

// foreign are words from other programs that look like ours.
var foreign = []string{"proxy_pass"}

func TestMetricsClassesAndReasonsExist(t *testing.T) {
	metrics := make(map[string]bool)
	descs := make(chan *prometheus.Desc, 100)
	guard, err := core.New(core.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = guard.Close() })
	prom.NewCollector(guard).Describe(descs)
	close(descs)
	for d := range descs {
		metrics[metric.FindString(d.String())] = true
	}
	words := make(map[string]bool)
	for _, c := range event.Classes() {
		words[c.String()] = true
	}
	for r := event.Reason(1); r.String() != ""; r++ {
		words[r.String()] = true
	}
	for _, page := range languages {
		text := contents(t, page)
		for _, name := range metric.FindAllString(text, -1) {
			if !metrics[name] {
				t.Errorf("%s: there is no metric %s", page, name)
			}
		}
		for name := range metrics {
			if !strings.Contains(text, "`"+name+"`") {
				t.Errorf("%s does not name %s", page, name)
			}
		}
		for _, span := range read(t, page).spans {
			if snake.MatchString(span) && !words[span] && !metrics[span] && !slices.Contains(foreign, span) {
				t.Errorf("%s: %q is neither a class nor a reason", page, span)
			}
		}
		for word := range words {
			if !strings.Contains(text, "`"+word+"`") {
				t.Errorf("%s does not name %s", page, word)
			}
		}
	}
}

var (
	exported = regexp.MustCompile(`\b(core|health|echows|ginws|fiberws|prom|probetest|coretest)\.([A-Z]\w*)`)
	changed  = regexp.MustCompile("(?s)\n```diff\n.*?\n```\n")
	method   = regexp.MustCompile(`\b[Gg]uard\.([A-Z]\w*)`)
)

func TestNamesExist(t *testing.T) {
	packages := make(map[string]map[string]bool)
	for _, page := range append(languages, "CONTRIBUTING.md") {
		text := changed.ReplaceAllString(contents(t, page), "") // it names other packages, and is compiled elsewhere
		for _, m := range exported.FindAllStringSubmatch(text, -1) {
			dir := map[string]string{"prom": "core/prom", "probetest": "core/probetest", "coretest": "core/coretest"}[m[1]]
			if dir == "" {
				dir = m[1]
			}
			if packages[dir] == nil {
				packages[dir] = declared(t, dir)
			}
			if !packages[dir][m[2]] {
				t.Errorf("%s: there is no %s", page, m[0])
			}
		}
		for _, m := range method.FindAllStringSubmatch(text, -1) {
			if _, ok := reflect.TypeFor[*core.Guard]().MethodByName(m[1]); !ok {
				t.Errorf("%s: a guard has no %s", page, m[1])
			}
		}
	}
}

// declared returns the exported names of a package.
func declared(t *testing.T, dir string) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					names[d.Name.Name] = true
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						names[s.Name.Name] = true
					case *ast.ValueSpec:
						for _, n := range s.Names {
							names[n.Name] = true
						}
					}
				}
			}
		}
	}
	return names
}

func contents(t *testing.T, page string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
