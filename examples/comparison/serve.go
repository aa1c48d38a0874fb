package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/health"
)

// server describes a child.
type server struct {
	Framework, Variant string
	TLS                bool
	Check              time.Duration // how long the health checks take
	File               string        // the file served on /file
	Profile            string
	Counted            bool // its instructions are counted; only the parent uses this
}

// How much of quietws a server uses. Other variants are for single frameworks.
const (
	bare     = "bare"     // none
	quiet    = "quietws"  // Listener and Attach, and Endpoint on the WebSocket route
	handled  = "handler"  // Listener and Attach, and Handler on the WebSocket route
	fibers   = "fibers"   // Fiber's own healthcheck
	promptly = "promptly" // handler, and drained at once
	named    = "named"    // handler, and the health route named in Config.Routes
)

func (s server) args() []string {
	return []string{"server", "-framework", s.Framework, "-variant", s.Variant, "-tls=" + strconv.FormatBool(s.TLS),
		"-check", s.Check.String(), "-file", s.File, "-profile", s.Profile}
}

func (s server) String() string { return s.Framework + " " + s.Variant }

func serverOf(args []string) (s server, err error) {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.StringVar(&s.Framework, "framework", "", "")
	flags.StringVar(&s.Variant, "variant", "", "")
	flags.BoolVar(&s.TLS, "tls", false, "")
	flags.DurationVar(&s.Check, "check", 0, "")
	flags.StringVar(&s.File, "file", "", "")
	flags.StringVar(&s.Profile, "profile", "", "")
	return s, flags.Parse(args)
}

// checked counts how often the first health check ran.
var checked atomic.Int64

// check is a check that passes.
func (s server) check(context.Context) error {
	checked.Add(1)
	if s.Check > 0 {
		<-time.After(s.Check)
	}
	return nil
}

// serve runs the child. It prints its address, answers questions, drains at SIGTERM, and
// ends when its input ends.
func serve(args []string) error {
	s, err := serverOf(args)
	if err != nil {
		return err
	}
	if s.Profile != "" {
		f, err := os.Create(s.Profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	addr := ln.Addr()
	var guard *core.Guard // nil: the bare server
	if s.Variant != bare && s.Variant != fibers {
		checks := health.New(health.Config{Logger: slog.New(slog.DiscardHandler)})
		if err := checks.Add(threeChecks(s.check)...); err != nil {
			return err
		}
		guard, err = core.New(core.Config{
			Health: checks, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
			Routes: map[bool]core.Routes{true: {Ready: "/readyz"}}[s.Variant == named],
			Drain:  core.DrainConfig{Fall: -1, Spread: map[bool]time.Duration{true: -1}[s.Variant == promptly]},
		})
		if err != nil {
			return err
		}
		ln = guard.Listener(ln)
	}
	if s.TLS {
		config, err := localhost()
		if err != nil {
			return err
		}
		ln = tls.NewListener(ln, config)
	}
	run, ok := frameworks[s.Framework]
	if !ok {
		return fmt.Errorf("there is no framework %q", s.Framework)
	}
	failed := make(chan error, 1)
	go func() { failed <- run(s, guard, ln) }()
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	over := make(chan struct{})
	go answer(over)
	fmt.Println(addr)
	select {
	case err := <-failed:
		return err
	case <-terminated:
		if guard == nil {
			return errors.New("no guard to drain")
		}
		_, err := guard.Drain(context.Background())
		return errors.Join(err, guard.Close())
	case <-over:
		return nil
	}
}

// answer answers the questions in its input, one a line, until it ends.
func answer(over chan<- struct{}) {
	defer close(over)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		switch lines.Text() {
		case "memory":
			fmt.Println(inUse())
		case "checks":
			fmt.Println(checked.Load())
		case "allocations":
			fmt.Println(allocated().Mallocs)
		case "allocated":
			fmt.Println(allocated().TotalAlloc)
		default:
			return
		}
	}
}

// inUse returns the bytes of heap and stacks after a garbage collection.
func inUse() uint64 {
	var m runtime.MemStats
	for range 4 { // the second one empties pools, and finalizers run in between
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// allocated returns what was allocated since the start.
func allocated() (m runtime.MemStats) {
	runtime.ReadMemStats(&m)
	return m
}

// localhost makes a certificate for this host only.
func localhost() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, nil
}
