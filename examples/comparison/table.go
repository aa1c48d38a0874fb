package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// row is a line of the table.
type row struct {
	what, on, with string
	base           string // the figure compared with, absolute
	got            string
	again          string // that figure, compared with itself
	target         string
	met            bool
	unclear        bool // the median misses the target, but its interval contains it
}

// ratioRow returns a row whose target is a ratio, of medians of pairs.
func ratioRow(what, on, with string, base, again, got []float64, limit float64) row {
	r := ratios(got, base)
	return row{
		what: what, on: on, with: with, base: spread(base, span), got: spread(r, ratio),
		again: spread(ratios(again, base), ratio), target: "≤ " + fmt.Sprint(limit), met: median(r) <= limit, unclear: holds(r, limit),
	}
}

func (r row) String() string {
	met := "no"
	switch {
	case r.target == "":
		met = ""
	case r.met:
		met = "yes"
	case r.unclear:
		met = "unclear"
	}
	return "| " + strings.Join([]string{r.what, r.on, r.with, r.base, r.got, r.again, r.target, met}, " | ") + " |\n"
}

const heading = `| what | on | with quietws, or another library | bare, absolute | compared with bare | bare again, compared with bare | target | met |
|---|---|---|---|---|---|---|---|
`

func render(rows []row) string {
	var t strings.Builder
	t.WriteString(heading)
	for _, r := range rows {
		t.WriteString(r.String())
	}
	return t.String()
}

// begin and end enclose a table in README.md. begin has the command that makes it.
func begin(mark string) string { return "<!-- begin: " + mark + " -->\n" }

const end = "<!-- end -->\n"

// replaced returns readme with text between the marks of a table.
func replaced(readme, mark, text string) (string, error) {
	head, rest, ok := strings.Cut(readme, begin(mark))
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return "", fmt.Errorf("no %q and %q", begin(mark), end)
	}
	return head + begin(mark) + "\n" + text + "\n" + end + tail, nil
}

func writeReadme(mark, text string) error {
	const name = "README.md"
	readme, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	now, err := replaced(string(readme), mark, text)
	if err != nil {
		return err
	}
	return os.WriteFile(name, []byte(now), 0o644)
}

// caption says where, when and with which versions.
func (b *bench) caption() string {
	var u unix.Utsname
	_ = unix.Uname(&u)
	processor := "an unknown processor"
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			processor = strings.TrimLeft(strings.TrimSpace(name), ": \t")
			break
		}
	}
	commit, _ := exec.Command("git", "describe", "--always", "--dirty", "--exclude=*").Output()
	used := make([]string, 0, len(modules))
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, d := range build.Deps {
			for _, m := range modules {
				if d.Path == m {
					used = append(used, d.Path+" "+d.Version)
				}
			}
		}
	}
	release, _, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), "-")
	return fmt.Sprintf("%s, quietws at %s. %d cores of an %s, Linux %s, %s. %d rounds. %s.\n\n",
		time.Now().Format("2006-01-02"), strings.TrimSpace(string(commit)), runtime.NumCPU(), processor, release,
		strings.Replace(runtime.Version(), "go", "Go ", 1), b.rounds, strings.Join(used, ", "))
}

// modules are the modules whose versions matter.
var modules = []string{
	"github.com/labstack/echo/v4", "github.com/gin-gonic/gin", "github.com/gofiber/fiber/v2", "github.com/valyala/fasthttp",
	"github.com/coder/websocket", "github.com/gofiber/contrib/websocket", "github.com/alexliesenfeld/health",
	"github.com/hellofresh/health-go/v5", "github.com/AppsFlyer/go-sundheit", "k8s.io/apiserver",
}
