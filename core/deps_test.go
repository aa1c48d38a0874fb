package core

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// core and health have the standard library and each other, and nothing else:
// whoever imports them gets no dependency. golang.org/x is one.
func TestStandardLibraryOnly(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./core", "./health")
	list.Dir = ".."
	list.Env = append(os.Environ(), "GOPROXY=off", "GOWORK=off")
	var stderr strings.Builder
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	const module = "github.com/quietws/quietws/"
	found := make(map[string]bool)
	for _, path := range strings.Fields(string(out)) {
		found[path] = true
		if path != module+"core" && path != module+"health" {
			t.Errorf("%s is a dependency", path)
		}
	}
	if !found[module+"core"] || !found[module+"health"] {
		t.Fatalf("go list found %q", out)
	}
}
