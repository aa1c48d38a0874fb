package core

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// deps returns the packages that whoever imports path builds, without the
// standard library's.
func deps(t *testing.T, path string) []string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", path)
	list.Dir = ".."
	list.Env = append(os.Environ(), "GOPROXY=off", "GOWORK=off")
	var stderr strings.Builder
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	found := strings.Fields(string(out))
	if !slices.Contains(found, module+strings.TrimPrefix(path, "./")) {
		t.Fatalf("go list found %q", found)
	}
	return found
}

const module = "github.com/quietws/quietws/"

// What belongs to one framework or library, by the beginning of the import path.
var (
	ofEcho    = []string{"github.com/labstack/", module + "echows"}
	ofGin     = []string{"github.com/gin-gonic/", "github.com/gin-contrib/", module + "ginws"}
	ofFiber   = []string{"github.com/gofiber/", "github.com/fasthttp/", "github.com/valyala/fasthttp", module + "fiberws"}
	ofMetrics = []string{"github.com/prometheus/", module + "core/prom"}
	ofTests   = []string{"github.com/gorilla/", "go.uber.org/goleak", module + "core/coretest", module + "core/probetest"}
	ofCoder   = []string{"github.com/coder/websocket"}
)

// Who imports one adapter builds nothing of another framework. core and health
// have the standard library and each other, and nothing else: golang.org/x is a
// dependency too.
func TestWhatIsBuilt(t *testing.T) {
	for _, c := range []struct {
		path string
		only []string // nil: anything that is not in not
		not  [][]string
	}{
		{path: "./core", only: []string{module + "core"}},
		{path: "./health", only: []string{module + "core", module + "health"}},
		{path: "./core/probetest", only: []string{module + "core/probetest"}},
		{path: "./core/coretest", only: []string{module + "core", module + "health", module + "core/probetest", module + "core/coretest"}},
		{path: "./core/prom", not: [][]string{ofEcho, ofGin, ofFiber, ofTests, ofCoder}},
		{path: "./echows", not: [][]string{ofGin, ofFiber, ofMetrics, ofTests}},
		{path: "./ginws", not: [][]string{ofEcho, ofFiber, ofMetrics, ofTests}},
		{path: "./fiberws", not: [][]string{ofEcho, ofGin, ofMetrics, ofTests, ofCoder}},
	} {
		for _, found := range deps(t, c.path) {
			if c.only != nil && !slices.Contains(c.only, found) {
				t.Errorf("%s: %s is a dependency", c.path, found)
			}
			for _, foreign := range slices.Concat(c.not...) {
				if strings.HasPrefix(found, foreign) {
					t.Errorf("%s: %s is a dependency", c.path, found)
				}
			}
		}
	}
}
