// Package deploy checks the folders below it: each manifest by the tool or
// the types of its platform, its times against what a drain needs, and each
// excerpt of a log by making it again.
package deploy

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the excerpts into the README files")

// chat is the server of all folders: the example on net/http, built as the
// Dockerfile builds it.
var chat string

// build is the line of the Dockerfile.
const build = "go build -trimpath -o /chat ./examples/nethttp"

func TestMain(m *testing.M) {
	flag.Parse()
	status, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

func run(m *testing.M) (int, error) {
	if err := need("nginx", "haproxy", "caddy", "prometheus", "systemd-analyze", "curl"); err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "quietws-deploy")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	chat = filepath.Join(dir, "chat")
	words := strings.Fields(strings.Replace(build, "/chat", chat, 1))
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir, cmd.Env = "../..", append(os.Environ(), "CGO_ENABLED=0", "GOWORK=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("%s: %w\n%s", build, err, out)
	}
	return m.Run(), nil
}

// debian has the packages of programs whose names differ.
var debian = map[string]string{"nginx": "nginx-light", "systemd-analyze": "systemd"}

// need installs all missing programs at once.
func need(programs ...string) error {
	var missing []string
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if pkg := debian[p]; pkg != "" {
			p = pkg
		}
		missing = append(missing, p)
	}
	if len(missing) == 0 {
		return nil
	}
	for _, args := range [][]string{{"update", "-q"}, append([]string{"install", "-qy", "--no-install-recommends"}, missing...)} {
		apt := exec.Command("apt-get", args...)
		apt.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := apt.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
		}
	}
	return nil
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// with returns the text of a folder's file, with its ports and paths replaced
// by those of this test. Each has to be there.
func with(t *testing.T, file string, replace ...string) string {
	t.Helper()
	text := read(t, file)
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("%s has no %q", file, replace[i])
		}
		text = strings.ReplaceAll(text, replace[i], replace[i+1])
	}
	return text
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// check runs a tool that says by its exit status what it thinks of a file, and
// returns what else it says.
func check(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
