package readme

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "github.com/gin-gonic/gin" // what fragments name has to be in go.mod
	_ "github.com/gofiber/fiber/v2/middleware/logger"
	_ "github.com/labstack/echo/v4/middleware"

	_ "github.com/quietws/quietws/echows"
	_ "github.com/quietws/quietws/ginws"
)

// imports are the packages that a fragment may name.
var imports = map[string]string{
	"context": "context", "errors": "errors", "fmt": "fmt", "http": "net/http", "netip": "net/netip", "sql": "database/sql", "time": "time",
	"echo": "github.com/labstack/echo/v4", "middleware": "github.com/labstack/echo/v4/middleware",
	"gin":   "github.com/gin-gonic/gin",
	"fiber": "github.com/gofiber/fiber/v2", "logger": "github.com/gofiber/fiber/v2/middleware/logger",
	"core": "github.com/quietws/quietws/core", "health": "github.com/quietws/quietws/health", "prom": "github.com/quietws/quietws/core/prom",
	"echows": "github.com/quietws/quietws/echows", "ginws": "github.com/quietws/quietws/ginws", "fiberws": "github.com/quietws/quietws/fiberws",
	"prometheus": "github.com/prometheus/client_golang/prometheus", "probetest": "github.com/quietws/quietws/core/probetest",
}

// harness is what stands around a fragment: a function that has what an
// application has by then.
const harness = `package block

import (
%s)

func _(ctx context.Context, guard *core.Guard, srv *http.Server, db *sql.DB,
	e *echo.Echo, router *gin.Engine, app *fiber.App, withGorilla echo.HandlerFunc) error {
	{
%s
	}
	return nil
}
`

// inHarness returns a fragment as a file of Go, a whole program as it is.
func inHarness(block string) string {
	if strings.HasPrefix(block, "package ") {
		return block
	}
	body := fmt.Sprintf(harness, "", block)
	var lines []string
	for name, path := range imports {
		if strings.Contains(body, name+".") {
			lines = append(lines, fmt.Sprintf("\t%s %q\n", name, path))
		}
	}
	slices.Sort(lines)
	return fmt.Sprintf(harness, strings.Join(lines, ""), block)
}

// programOf is the program that the documentation of an adapter begins with.
func programOf(t *testing.T, adapter string) string {
	t.Helper()
	_, program, found := strings.Cut(contents(t, adapter+"/doc.go"), "//\tpackage main\n")
	if !found {
		t.Fatalf("%s: no program", adapter)
	}
	lines := []string{"package main\n"}
	for line := range strings.Lines(program) {
		code, ok := strings.CutPrefix(line, "//\t")
		if !ok && line != "//\n" {
			break
		}
		if !ok {
			code = "\n"
		}
		lines = append(lines, code)
	}
	return strings.Join(lines, "")
}

// Every block of Go compiles: whole programs as they stand, fragments inside a
// function. So do the programs in the documentation of the adapters.
func TestGoCompiles(t *testing.T) {
	overlay := struct{ Replace map[string]string }{make(map[string]string)} // so that no file is written here
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"build"}
	dir := t.TempDir()
	add := func(name, source string) {
		file := filepath.Join(dir, name+".go")
		if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay.Replace[filepath.Join(here, "blocks", name, name+".go")] = file
		args = append(args, "./blocks/"+name)
	}
	for _, page := range []string{"README.md", "CONTRIBUTING.md"} { // the other language has the same blocks
		for i, b := range read(t, page).blocks {
			if b.language == "go" {
				add(fmt.Sprintf("%s-%d", strings.TrimSuffix(page, ".md"), i), inHarness(b.text))
			}
		}
	}
	for _, adapter := range []string{"echows", "ginws", "fiberws"} {
		add(adapter, programOf(t, adapter))
	}
	description, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, description, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", slices.Insert(args, 1, "-overlay="+file, "-o", os.DevNull)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}
