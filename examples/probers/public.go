package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quietws/quietws/core/probetest"
)

// The two ends of a cable between two network namespaces. The addresses are for
// documentation (RFC 5737), exist inside these alone, and are no platform's.
const (
	publicServer = "203.0.113.1"
	publicClient = "203.0.113.2"
)

// junk is what anyone on the internet can send, by the name of its scenario. The operator
// cannot fix any of it, so it is logged if it comes from a platform, but not if it comes
// from a public address.
var junk = []string{
	"tcp-connect-fin", "tcp-connect-rst",
	"tls-handshake-fin", "tls-handshake-rst", "tls-hello-cut-fin", "tls-hello-cut-rst", "tls-no-common-cipher",
	"request-cut-fin", "request-cut-rst", "request-cut-half-close",
	"health-kubelet", "health-haproxy-options",
}

// mistakes are what a misconfigured legitimate client may send. They are logged from any
// source: the first, and its repeats in one line for each window.
var mistakes = []string{
	"handshake-bad-key", "handshake-no-upgrade", "handshake-version-8", "handshake-plain-get", "tls-on-plain", "http-on-tls", "tls-certificate-refused",
}

// Of each kind of junk so many come, and so many bare connects at last: a flood.
const junkTimes, junkConnects = 20, 2000

// public sends junk to servers in one network namespace from another one, so that the
// source is really public. The log has only the lines of the flood and the mistakes;
// from the server's own host all of it is logged.
func public(b *bench) error {
	if os.Getuid() != 0 {
		return errors.New("network namespaces need root")
	}
	if err := need(debian{"ip", "iproute2"}); err != nil {
		return err
	}
	id := os.Getpid()
	n := namespaces{fmt.Sprintf("quietws-s%d", id), fmt.Sprintf("quietws-c%d", id)}
	defer n.remove()
	if err := n.make(); err != nil {
		return fmt.Errorf("network namespaces cannot be made here: %w", err)
	}
	say("%-14s %-10s %11s %6s  %s\n", "server", "source", "connections", "lines", "classes")
	var errs error
	for _, name := range b.servers {
		for _, overTLS := range []bool{false, true} {
			for _, source := range []string{"public", "platform"} {
				if err := b.publicOne(n, name, overTLS, source); err != nil {
					errs = errors.Join(errs, fmt.Errorf("%s, %s: %w", port(name, overTLS), source, err))
				}
			}
		}
	}
	return errs
}

// namespaces are that of the server and that of the client.
type namespaces struct{ server, client string }

func (n namespaces) make() error {
	for _, command := range []string{
		"netns add " + n.server,
		"netns add " + n.client,
		"-n " + n.server + " link add quietws0 type veth peer name quietws1 netns " + n.client,
		"-n " + n.server + " addr add " + publicServer + "/24 dev quietws0",
		"-n " + n.client + " addr add " + publicClient + "/24 dev quietws1",
		"-n " + n.server + " link set quietws0 up",
		"-n " + n.client + " link set quietws1 up",
		"-n " + n.server + " link set lo up",
	} {
		if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", command, err, out)
		}
	}
	return nil
}

// remove removes them, and with them the cable.
func (n namespaces) remove() {
	for _, name := range []string{n.server, n.client} {
		_ = exec.Command("ip", "netns", "delete", name).Run()
	}
}

// publicOne sends junk to a server, from the public address or from the server's
// own host.
func (b *bench) publicOne(n namespaces, name string, overTLS bool, source string) error {
	const at = ":8080" // the namespace has no other server
	flags := []string{"netns", "exec", n.server, filepath.Join(b.dir, name), "-json", "-addr", at}
	if overTLS {
		flags = append(flags, "-cert", b.cert, "-key", b.key)
	}
	s := &server{name: name, addr: at, tls: overTLS}
	if err := s.run(exec.Command("ip", flags...), nil); err != nil {
		return err
	}
	defer s.kill()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	from, to := n.client, publicServer+at
	if source == "platform" {
		from, to = n.server, "127.0.0.1"+at
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	send := exec.CommandContext(ctx, "ip", "netns", "exec", from, self, "-junk", to, "-tls="+strconv.FormatBool(overTLS))
	var complaints strings.Builder
	send.Stderr = &complaints
	out, err := send.Output()
	if err != nil {
		return fmt.Errorf("sending: %w: %s%s", err, &complaints, s.log)
	}
	s.terminate()
	if _, err := s.wait(patience); err != nil {
		return err
	}
	all, err := s.entries()
	if err != nil {
		return err
	}
	logged, floods := make(map[string]int), 0
	for _, e := range all {
		switch {
		case strings.HasPrefix(e.Msg, "flood of connections without a request"):
			floods++
		case e.Class != "":
			logged[e.about()]++
		}
	}
	var sent struct {
		Sent    int
		Classes map[string]int
	}
	if err := json.Unmarshal(out, &sent); err != nil {
		return err
	}
	var words []string
	for _, class := range slices.Sorted(maps.Keys(sent.Classes)) {
		words = append(words, fmt.Sprintf("%d %s", sent.Classes[class], class))
	}
	lines := floods
	for _, n := range logged {
		lines += n
	}
	say("%-14s %-10s %11d %6d  %s\n", port(name, overTLS), source, sent.Sent, lines, strings.Join(words, ", "))
	var errs error
	for about, n := range logged {
		switch class := classOf(about); {
		case n > 2:
			errs = errors.Join(errs, fmt.Errorf("%d lines about %s, want the first and its repeats", n, about))
		case source == "public" && about != "tls_failed/refused" && class != "handshake_refused" && class != "wrong_protocol":
			errs = errors.Join(errs, fmt.Errorf("%d lines about %s: the open internet writes the log", n, about))
		}
	}
	if floods != 2 {
		errs = errors.Join(errs, fmt.Errorf("%d lines about the flood, want one about the source and one about all", floods))
	}
	if source == "platform" && logged["bad_request/truncated"]+logged["bad_request/unknown"] == 0 {
		errs = errors.Join(errs, errors.New("junk from the platform is not logged either, so this shows nothing"))
	}
	return errs
}

// sendJunk runs as a helper process: it sends everything and prints the number of
// connections and their classes.
func sendJunk(addr string, overTLS bool) error {
	s := &server{addr: addr, tls: overTLS}
	for end := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) {
		status, err := s.get(client, "/livez")
		if status == http.StatusOK {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("/livez: %d, %w", status, err)
		}
	}
	scrape, err := s.scraper()
	if err != nil {
		return err
	}
	defer scrape.close()
	before, err := scrape.settle(1)
	if err != nil {
		return err
	}
	sent := 0
	for _, name := range slices.Concat(junk, mistakes) {
		scenario, known := probetest.Find(name)
		if !known {
			return fmt.Errorf("there is no scenario %q", name)
		}
		if scenario.Port == probetest.TLSPort && !overTLS || scenario.Port == probetest.PlainPort && overTLS {
			continue
		}
		for range junkTimes {
			if _, err := scenario.Run(context.Background(), s.target()); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			sent++
		}
	}
	if err := many(floodWorkers, junkConnects, func(int) error {
		_, err := probetest.Connect(context.Background(), s.target(), probetest.FIN)
		return err
	}); err != nil {
		return err
	}
	sent += junkConnects
	after, err := settleAfter(scrape, int(before[metricAccepted])+sent, 1)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"sent": sent, "classes": newlyClosed(after, before)})
}
