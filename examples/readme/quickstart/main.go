// Command quickstart does what a new user does. It takes a fresh copy of this repository
// and an empty module cache, pastes each program of README.md into an empty module, and
// checks that it builds, runs and behaves as the text says. It also moves the programs
// on Echo and Fiber to Echo v5 and Fiber v3 as the text says, and checks those.
//
//	go run ./quickstart
//
// It downloads everything that the programs need, about 50 MB, and removes it
// afterwards. It replaces their port, 8080, by a free one.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	work, err := os.MkdirTemp("", "quickstart")
	if err != nil {
		log.Fatal(err)
	}
	err = all(ctx, work)
	if e := os.RemoveAll(work); err == nil {
		err = e
	}
	if err != nil {
		log.Fatal(err)
	}
}

// program is a block of README.md with a whole program.
type program struct{ name, source string }

var block = regexp.MustCompile("(?s)\n```go\n(package main\n.*?)```\n")

// framework is the adapter that a program imports.
var framework = regexp.MustCompile(`"github\.com/quietws/quietws/(\w+)ws"`)

// moves are README's instructions for moving to the newer generation of a framework.
var moves = map[string]*strings.Replacer{
	"echo": strings.NewReplacer(
		"labstack/echo/v4", "labstack/echo/v5", `quietws/echows"`, `quietws/echows/echov5"`, "echo.Context", "*echo.Context"),
	"fiber": strings.NewReplacer(
		"gofiber/fiber/v2", "gofiber/fiber/v3", "gofiber/contrib/websocket", "gofiber/contrib/v3/websocket",
		`quietws/fiberws"`, `quietws/fiberws/fiberv3"`, "*fiber.Ctx", "fiber.Ctx"),
}

func all(ctx context.Context, work string) error {
	clone := filepath.Join(work, "quietws")
	if err := copyRepository(ctx, clone); err != nil {
		return err
	}
	readme, err := os.ReadFile(filepath.Join(clone, "README.md"))
	if err != nil {
		return err
	}
	var programs []program
	for _, m := range block.FindAllStringSubmatch(string(readme), -1) {
		p := program{"nethttp", m[1]}
		if f := framework.FindStringSubmatch(m[1]); f != nil {
			p.name = f[1]
		}
		programs = append(programs, p)
	}
	if len(programs) != 4 {
		return fmt.Errorf("README.md has %d whole programs, want one each for Echo, Gin, Fiber and net/http", len(programs))
	}
	for _, p := range programs {
		if to := moves[p.name]; to != nil {
			programs = append(programs, program{p.name + " moved", to.Replace(p.source)})
		}
	}
	for _, p := range programs {
		address, err := freeAddress()
		if err != nil {
			return err
		}
		binary, err := p.build(ctx, work, clone, address)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		start := time.Now()
		if err := try(ctx, binary, address, p.name != "nethttp"); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		log.Printf("%s: behaves as README says, %v", p.name, time.Since(start).Round(time.Second/10))
	}
	return nil
}

// copyRepository copies the repository to dir, like a clone, but with uncommitted
// changes.
func copyRepository(ctx context.Context, dir string) error {
	top, err := exec.CommandContext(ctx, "git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	copying := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c",
		`git ls-files -z --cached --others --exclude-standard | tar --null -T - -c | tar -x -C "$1"`, "bash", dir)
	copying.Dir = strings.TrimSpace(string(top))
	copying.Stderr = os.Stderr
	return copying.Run()
}

// build pastes the program into an empty module and builds it.
func (p program) build(ctx context.Context, work, clone, address string) (binary string, err error) {
	dir := filepath.Join(work, strings.ReplaceAll(p.name, " ", "-"))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	if strings.Count(p.source, `":8080"`) != 1 {
		return "", fmt.Errorf("the program must have :8080 once:\n%s", p.source)
	}
	source := strings.Replace(p.source, `":8080"`, `"`+address+`"`, 1)
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o644); err != nil {
		return "", err
	}
	replace := "mod edit"
	for _, module := range []string{"", "/core/prom", "/echows", "/echows/echov5", "/ginws", "/fiberws", "/fiberws/fiberv3"} {
		replace += " -replace=github.com/quietws/quietws" + module + "=" + clone + module
	}
	for _, args := range []string{"mod init example.com/app", replace, "mod tidy", "build -o app ."} {
		cmd := exec.CommandContext(ctx, "go", strings.Fields(args)...)
		cmd.Dir = dir
		// With -trimpath the build cache, which is not emptied, can reuse what it has built
		// under another path.
		cmd.Env = append(os.Environ(), "GOMODCACHE="+filepath.Join(work, "modules"), "GOFLAGS=-modcacherw -trimpath", "GOWORK=off")
		start := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go %s: %w\n%s", args, err, out)
		}
		if took := time.Since(start); took > time.Second {
			log.Printf("%s: go %s: %v", p.name, args, took.Round(time.Second/10))
		}
	}
	return filepath.Join(dir, "app"), nil
}
