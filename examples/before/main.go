// Command before shows what a WebSocket server in Go logs about its platform, without
// and with quietws. Each scene runs twice, on two servers that differ only in that, and
// is printed with everything that they logged:
//
//	go run ./examples/before            # all scenes
//	go run ./examples/before tls fiber  # those two
//
// The servers log no timestamps. Lines that differ only in the port are printed once.
// Left out are the first lines of each server with quietws, about its address and its
// health routes. README.md has this output, and a test compares them.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/quietws/quietws/core/probetest"
)

func main() {
	if len(os.Args) == 4 && os.Args[1] == "serve" {
		serve(os.Args[2], os.Args[3])
		return
	}
	for _, s := range scenes {
		if len(os.Args) > 1 && !slices.Contains(os.Args[1:], s.name) {
			continue
		}
		out, err := s.play()
		if err == nil {
			_, err = fmt.Fprintf(os.Stdout, "== %s: %s\n%s\n", s.name, s.what, out)
		}
		if err != nil {
			log.Fatal(err)
		}
	}
}

// scene is something that happens to servers.
type scene struct {
	name, what string
	tls        bool // on a TLS port
	access     bool // with the framework's access log
	// serve serves on a listener until ctx ends, like an application.
	serve func(ctx context.Context, s scene, with bool, ln net.Listener) error
	// drive plays the scene and returns what a client sees.
	drive func(ctx context.Context, t probetest.Target, say func(string)) error
	// deploy, in place of drive, ends the server and returns what its client sees.
	deploy func(ctx context.Context, t probetest.Target, sigterm func() error, say func(string)) error
	// last is part of the last expected line, if that may come after drive returns.
	last string
}

// play returns what the scene prints.
func (s scene) play() (string, error) {
	var b strings.Builder
	for _, with := range []string{"without", "with"} {
		said, logged, err := s.half(with)
		if err != nil {
			return "", fmt.Errorf("%s, %s: %w", s.name, with, err)
		}
		fmt.Fprintf(&b, "# %s quietws, lines logged: %d\n", with, len(logged))
		for _, line := range append(alike(logged), said...) {
			b.WriteString(line + "\n")
		}
	}
	return b.String(), nil
}

var port = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// alike returns lines with repeats counted: those that differ from the one before only
// in the port.
func alike(lines []string) (out []string) {
	plain := func(s string) string { return port.ReplaceAllString(s, "") }
	for i := 0; i < len(lines); {
		n := 1
		for i+n < len(lines) && plain(lines[i+n]) == plain(lines[i]) {
			n++
		}
		out = append(out, lines[i])
		if n > 1 {
			out = append(out, fmt.Sprintf("… %d more of these", n-1))
		}
		i += n
	}
	return out
}

const patience = 20 * time.Second

// half runs one server, a process of its own. It returns what drive or deploy returns,
// and what the server logged until it got its signal.
func (s scene) half(with string) (said, logged []string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	file, err := ln.(*net.TCPListener).File()
	if err != nil {
		return nil, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, self, "serve", s.name, with)
	cmd.ExtraFiles = []*os.File{file}
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	_, _ = file.Close(), ln.Close() // the server has its own
	ended := make(chan error, 1)
	go func() {
		ended <- cmd.Wait()
		_ = in.Close()
	}()

	lines := make(chan string, 1024)
	go func() {
		for sc := bufio.NewScanner(out); sc.Scan(); {
			lines <- sc.Text()
		}
		close(lines)
	}()
	say := func(line string) { said = append(said, line) }
	sigterm := func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	t := s.target(ln.Addr().String())
	if s.deploy != nil {
		err = s.deploy(ctx, t, sigterm, say)
	} else if err = s.drive(ctx, t, say); s.last == "" {
		// Each of these requests is accepted after everything before it and logs no line.
		// One may be answered before earlier connections have been read; so many are not.
		for range 20 {
			if err == nil {
				_, err = probetest.Get(ctx, t, "/", "")
			}
		}
	}
	for err == nil && s.last != "" {
		line, more := <-lines
		if logged = append(logged, line); !more || strings.Contains(line, s.last) {
			break
		}
	}
	if e := sigterm(); !errors.Is(e, os.ErrProcessDone) { // after a deploy it has ended
		err = errors.Join(err, e)
	}
	for line := range lines {
		logged = append(logged, line)
	}
	if i := slices.IndexFunc(logged, has("msg=draining")); i >= 0 && s.deploy == nil {
		logged = logged[:i] // the rest is not part of the scene
	}
	logged = slices.DeleteFunc(logged, has(`msg="health routes"`))
	logged = slices.DeleteFunc(logged, has(`msg=serving `))
	return said, logged, errors.Join(err, <-ended, ctx.Err())
}

func has(text string) func(line string) bool {
	return func(line string) bool { return strings.Contains(line, text) }
}

// serve is the server's process. Its listener is file 3.
func serve(name, with string) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	i := slices.IndexFunc(scenes, func(s scene) bool { return s.name == name })
	ln, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		log.Fatal(err)
	}
	quietClock()
	if err := scenes[i].serve(ctx, scenes[i], with == "with", ln); err != nil {
		log.Fatal(err)
	}
}
