package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

const heading = `| library | on | set-up | port | deflate | sessions | 1001 | intact | nothing after it | answered | ended by FIN | fragments came | drain | bare | holds |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
`

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (r *row) String() string {
	port := "plain"
	if r.tls {
		port = "TLS"
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %d | %d | %d | %d | %d | %d | %s | %.2f s | %.2f s | %s |\n", r.library.name, r.framework, r.setup, port, yes(r.deflate),
		r.sessions, r.goodbyes, r.intact, r.nothingAfter, r.answered, r.byFIN, yes(r.fragments), r.drain.Seconds(), r.bare.Seconds(), yes(len(r.problems) == 0))
}

func endHeading() string {
	b, lines := "| library |", "|---|"
	for _, e := range endings {
		b += " " + e.name + " |"
		lines += "---|"
	}
	return b + " drain, silent peers |\n" + lines + "---|\n"
}

func (r endRow) String() string {
	b := "| " + r.library.name + " |"
	for i, e := range endings {
		got := strings.ReplaceAll(r.got[i], "|", "/")
		if got != "–" && e.wrong(got) {
			got = "*" + got + "*"
		}
		b += " " + got + " |"
	}
	return b + fmt.Sprintf(" %.2f s |\n", r.silent.Seconds())
}

// begin and end are around the tables in README.md.
const (
	begin = "<!-- begin: go run . -readme -->\n"
	end   = "<!-- end -->\n"
)

// replaced is readme with text between the marks.
func replaced(readme, text string) (string, error) {
	head, rest, ok := strings.Cut(readme, begin)
	_, tail, found := strings.Cut(rest, end)
	if !ok || !found {
		return "", fmt.Errorf("there is no %q and %q", begin, end)
	}
	return head + begin + "\n" + text + "\n" + end + tail, nil
}

func writeReadme(text string) error {
	const name = "README.md"
	readme, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	now, err := replaced(string(readme), text)
	if err != nil {
		return err
	}
	return os.WriteFile(name, []byte(now), 0o644)
}

// caption says when and with what.
func caption() string {
	var used []string
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, d := range build.Deps {
			if slices.Contains(modules, d.Path) {
				used = append(used, d.Path+" "+d.Version)
			}
		}
	}
	return fmt.Sprintf("%s, %d cores, %s. %s.\n\n", time.Now().Format("2006-01-02"), runtime.NumCPU(),
		strings.Replace(runtime.Version(), "go", "Go ", 1), strings.Join(used, ", "))
}

// modules are those whose versions matter.
var modules = []string{
	"github.com/gorilla/websocket", "github.com/coder/websocket", "github.com/gobwas/ws", "github.com/lxzan/gws", "github.com/olahol/melody",
	"github.com/centrifugal/centrifuge", "github.com/99designs/gqlgen", "github.com/zishang520/socket.io/servers/socket/v3", "golang.org/x/net",
	"github.com/gofiber/contrib/websocket", "github.com/fasthttp/websocket", "github.com/valyala/fasthttp",
	"github.com/labstack/echo/v4", "github.com/gin-gonic/gin", "github.com/gofiber/fiber/v2",
}
