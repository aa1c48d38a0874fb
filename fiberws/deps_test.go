package fiberws_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Who imports fiberws builds no other framework.
func TestNoOtherFramework(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".")
	list.Env = append(os.Environ(), "GOPROXY=off", "GOWORK=off")
	var stderr strings.Builder
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	found := strings.Fields(string(out))
	if len(found) == 0 {
		t.Fatal("go list found nothing")
	}
	for _, path := range found {
		for _, other := range []string{"github.com/labstack/", "github.com/gin-gonic/", "github.com/coder/", "github.com/quietws/quietws/echows", "github.com/quietws/quietws/ginws"} {
			if strings.HasPrefix(path, other) {
				t.Errorf("%s is a dependency", path)
			}
		}
	}
}
