package core

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rooms lists for each package of this module what it may import from the module.
// Everything else must be in the standard library; golang.org/x is a dependency too.
// .ci/applications checks what an application with an adapter depends on.
var rooms = map[string]string{
	"core/event":                      "",
	"core/kit":                        "core core/internal/conn core/internal/head",
	"core/internal/frames":            "",
	"core/internal/head":              "",
	"core/internal/head/headtest":     "",
	"core/internal/prober":            "core/internal/head",
	"core/internal/conn":              "core/event core/internal/usererror",
	"core/internal/conn/conntest":     "",
	"core/internal/journal":           "core/event core/internal/prober core/internal/remedy core/internal/usererror",
	"core/internal/journal/logtest":   "",
	"core/internal/remedy":            "core/event core/internal/head core/internal/prober",
	"core/internal/usererror":         "",
	"core/internal/usererror/hostile": "",
	"core":                            "core/event core/internal/conn core/internal/head core/internal/journal core/internal/prober core/internal/remedy core/internal/usererror",
	"health":                          "core",
	"core/probetest":                  "",
	"core/coretest":                   "core core/event core/probetest health",
	"core/coretest/httpapp":           "core core/coretest core/event core/probetest health internal/plainws",
	"internal/plainws":                "",
}

const module = "github.com/quietws/quietws/"

// Imports go one way, from the face down to the vocabulary.
func TestRooms(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "./...")
	list.Dir = ".."
	list.Env = append(os.Environ(), "GOPROXY=off", "GOWORK=off")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		name := strings.TrimPrefix(words[0], module)
		may, known := rooms[name]
		if !known {
			t.Errorf("%s is in no room", name)
		}
		found[name] = true
		for _, path := range words[1:] {
			inside, ours := strings.CutPrefix(path, module)
			if first, _, _ := strings.Cut(path, "/"); !ours && !strings.Contains(first, ".") {
				continue // in the standard library
			}
			if !ours || !slices.Contains(strings.Fields(may), inside) {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
	for name := range rooms {
		if !found[name] {
			t.Errorf("there is no %s", name)
		}
	}
}
