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

// core, health and what tests them have the standard library and each other, and
// nothing else: golang.org/x is a dependency too. What an application on an
// adapter has to know of is tried by .ci/floors.
func TestWhatIsBuilt(t *testing.T) {
	tests := []string{module + "core/probetest", module + "internal/plainws"}
	for path, only := range map[string][]string{
		"./core":                  {module + "core"},
		"./core/internal/frames":  {module + "core/internal/frames"},
		"./health":                {module + "core", module + "health"},
		"./core/probetest":        {module + "core/probetest"},
		"./core/coretest":         {module + "core", module + "health", module + "core/probetest", module + "core/coretest"},
		"./core/coretest/httpapp": append(tests, module+"core", module+"health", module+"core/coretest", module+"core/coretest/httpapp"),
	} {
		for _, found := range deps(t, path) {
			if !slices.Contains(only, found) {
				t.Errorf("%s: %s is a dependency", path, found)
			}
		}
	}
}
