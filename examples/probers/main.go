// Command probers runs real programs, and thousands of clients, against the example
// servers, and prints the results. It fails if a server breaks a promise of quietws.
//
//	go run . [flags] PART...
//
// The parts:
//
//	real      real probers, proxies and clients, each against a server of its own
//	drain     10,000 sessions and a SIGTERM: which close code each client got
//	kill      1,000 sessions, SIGTERM, and SIGKILL five seconds later
//	hanging   a silent, a handshaken and a half-headed connection at the exit
//	restarts  ten rolling restarts behind HAProxy, under steady connects
//	prefixes  every prefix of what comes to a port, ended by FIN, RST and silence
//	floods    100,000 bare connects, 10,000 silent ones, 1,000 slow heads
//	broken    handlers that panic, clients that reset, a log that fails or blocks
//	public    junk from addresses that are public, in network namespaces
//	soak      ten minutes of all of it with 2,000 open sessions; runs only if named
//
// It needs Linux with apt-get, and installs what is missing.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// part is something to run.
type part struct {
	name string
	run  func(*bench) error
}

// parts are all, in order.
var parts = []part{
	{"real", real},
	{"drain", drain},
	{"kill", kill},
	{"hanging", hanging},
	{"restarts", restarts},
	{"prefixes", prefixes},
	{"floods", floods},
	{"broken", broken},
	{"public", public},
	{"soak", soak},
}

// byHand are the parts that run only if named.
var byHand = []string{"soak"}

func main() {
	b := new(bench)
	only := flag.String("servers", "nethttp,echo,echo5,gin,fiber,fiber3", "the example `servers` to run")
	flag.IntVar(&b.sessions, "sessions", 10_000, "how many sessions the drain has")
	flag.DurationVar(&b.long, "for", 5*time.Second, "how long programs run that check periodically")
	flag.StringVar(&b.rows, "rows", "", "the real programs to run, a `regexp` for \"program, how\"")
	flag.BoolVar(&b.readme, "readme", false, "put what the parts that have a place in README.md say there")
	flag.IntVar(&b.connects, "connects", 100_000, "how many connects a flood has; a tenth are silent, a hundredth slow")
	flag.DurationVar(&b.soak, "soak", 10*time.Minute, "how long the soak is, after a tenth of that to warm up")
	var to helper
	flag.StringVar(&to.junk, "junk", "", "only send the junk of the part public to this `address`")
	flag.StringVar(&to.load, "load", "", "only put this `address` under the load of the soak")
	flag.BoolVar(&to.tls, "tls", false, "that is a TLS port")
	flag.BoolVar(&to.bare, "bare", false, "that is a server without quietws")
	flag.StringVar(&to.profiles, "profiles", "", "where its heap profiles go")
	flag.Parse()
	b.servers = strings.Split(*only, ",")
	var err error
	switch {
	case to.junk != "":
		err = sendJunk(to.junk, to.tls)
	case to.load != "":
		err = runLoad(&server{addr: to.load, tls: to.tls}, to.bare, b.soak, to.profiles)
	default:
		err = run(b, flag.Args())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "failed:", err)
		os.Exit(1)
	}
}

// helper is what a helper process of a part does.
type helper struct {
	junk, load, profiles string
	tls, bare            bool
}

func run(b *bench, names []string) (err error) {
	for _, name := range names {
		if !slices.ContainsFunc(parts, func(p part) bool { return p.name == name }) {
			return fmt.Errorf("there is no part %q", name)
		}
	}
	if err := b.build(); err != nil {
		return err
	}
	defer b.clean()
	for _, p := range parts {
		if !slices.Contains(names, p.name) && (len(names) > 0 || slices.Contains(byHand, p.name)) {
			continue
		}
		fmt.Printf("\n%s\n", p.name)
		start := time.Now()
		failed := p.run(b)
		if text := heard(); b.readme && failed == nil {
			failed = writeReadme(p.name, text)
		}
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", p.name, failed))
		}
		fmt.Fprintf(os.Stderr, "%s took %s\n", p.name, round(time.Since(start)))
	}
	return err
}
