package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quietws/quietws/core/probetest"
)

// What is cut, by name.
const (
	handshakeStream = "handshake"
	healthStream    = "health request"
	helloStream     = "ClientHello"
)

// streams returns what is cut at every offset.
func streams(t probetest.Target) []*stream {
	secret := t
	secret.TLS = anyCertificate
	client, here := netip.MustParseAddrPort("192.0.2.1:51423"), netip.MustParseAddrPort("198.51.100.1:443")
	return []*stream{
		{handshakeStream, probetest.WebSocket("/ws").Bytes(t), true},
		{healthStream, probetest.Kubelet("/healthz").Bytes(t), true},
		{helloStream, probetest.ClientHello(secret), false},
		{"PROXY v1", probetest.ProxyV1.Bytes(client, here), false},
		{"PROXY v2", probetest.ProxyV2.Bytes(client, here), false},
		{"PROXY v2 LOCAL", probetest.ProxyV2Local.Bytes(client, here), false},
	}
}

// prefixes cuts each of these at every offset and ends it in each way. Every
// connection has the class that the design's table says, and at most one line.
func prefixes(b *bench) error {
	say("%-8s %-6s %-8s %12s %7s  %s\n", "server", "", "end", "connections", "lines", "classes")
	var errs error
	for _, name := range b.servers {
		for _, overTLS := range []bool{false, true} {
			if err := b.cutAndLeave(name, overTLS); err != nil {
				errs = errors.Join(errs, fmt.Errorf("%s: %w", port(name, overTLS), err))
			}
		}
	}
	for _, overTLS := range []bool{false, true} { // silence is waited for on all of them at once
		results := make([]error, len(b.servers))
		var wg sync.WaitGroup
		for i, name := range b.servers {
			wg.Go(func() {
				if err := b.cutAndSilent(name, overTLS); err != nil {
					results[i] = fmt.Errorf("%s: %w", port(name, overTLS), err)
				}
			})
		}
		wg.Wait()
		errs = errors.Join(errs, errors.Join(results...))
	}
	return errs
}

func (s *server) target() probetest.Target {
	t := probetest.Target{Addr: s.addr}
	if s.tls {
		t.TLS = anyCertificate
	}
	return t
}

// run sends what is cut. TLS goes on before what belongs inside.
func (c cut) run(ctx context.Context, t probetest.Target) (probetest.Result, error) {
	if c.tls && c.what.inside {
		return probetest.Send(ctx, t, c.sent(), c.end)
	}
	return probetest.SendTCP(ctx, t, c.sent(), c.end)
}

func cuts(s *server, ends ...probetest.End) (all []cut) {
	for _, what := range streams(s.target()) {
		for _, end := range ends {
			for n := range len(what.raw) + 1 {
				all = append(all, cut{what, n, end, s.tls, !strings.HasPrefix(s.name, "fiber")})
			}
		}
	}
	return all
}

// races is how often more a whole request is sent and its connection ended.
const races = 200

// cutAndLeave ends by FIN and by RST. Those that are to have the same class go
// together, so that the figures say it of each of them.
func (b *bench) cutAndLeave(name string, overTLS bool) error {
	s, err := b.start(name, "", overTLS, "-collapse", "1ns")
	if err != nil {
		return err
	}
	defer s.kill()
	scrape, err := s.scraper()
	if err != nil {
		return err
	}
	defer scrape.close()
	before, err := scrape.settle(1)
	if err != nil {
		return err
	}
	type alike struct {
		what     string
		end      probetest.End
		outcomes string
	}
	groups := make(map[alike][]cut)
	var order []alike
	leaving := cuts(s, probetest.FIN, probetest.RST)
	for _, c := range leaving {
		if c.whole() && c.what.inside { // what comes first, the answer or the reset, is a race
			leaving = append(leaving, slices.Repeat([]cut{c}, races)...)
		}
	}
	for _, c := range leaving {
		k := alike{c.what.name, c.end, strings.Join(c.expect(waited), " or ")}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], c)
	}
	var errs error
	got, want, all := before, newTally(), make(map[string]int)
	for _, k := range order {
		of := groups[k]
		want.add(of[0].expect(waited), len(of))
		before = got
		if err := s.runAll(of); err != nil {
			return err
		}
		if got, err = settleAfter(scrape, int(before[metricAccepted])+len(of), 1); err != nil {
			return err
		}
		seen := newlyClosed(got, before)
		n := 0
		for _, class := range classesOf(of[0].expect(waited)) {
			n += seen[class]
			all[class] += seen[class]
			delete(seen, class)
		}
		if n != len(of) || len(seen) > 0 {
			errs = errors.Join(errs, fmt.Errorf("%s ended by %v after %s bytes: %d %s, want %d, and %v", k.what, k.end, offsets(of), n, k.outcomes, len(of), seen))
		}
	}
	s.terminate()
	if _, err := s.wait(patience); err != nil {
		return err
	}
	return errors.Join(errs, s.compare("left", all, want))
}

// classesOf returns the classes of outcomes, each once.
func classesOf(of []outcome) (all []string) {
	for _, o := range of {
		all = append(all, classOf(o))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// offsets says where they are cut.
func offsets(of []cut) string {
	return fmt.Sprintf("%d to %d", of[0].n, of[len(of)-1].n)
}

// runAll runs them, a few at a time.
func (s *server) runAll(all []cut) error {
	var wg sync.WaitGroup
	places := make(chan struct{}, 4)
	failed := make(chan error, len(all))
	for _, c := range all {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			if _, err := c.run(context.Background(), s.target()); err != nil {
				failed <- fmt.Errorf("%s, %d bytes: %w", c.what.name, c.n, err)
			}
		})
	}
	wg.Wait()
	close(failed)
	return <-failed
}

// soon is sooner than any timeout of a server's: what is answered then is what
// was sent, and not that nothing followed.
const soon = 5 * time.Second

// cutAndSilent leaves all of them open and silent, at once. The server's timeout
// ends those that it has one for, 10 s on net/http, and the drain the others,
// which is every one on Fiber.
func (b *bench) cutAndSilent(name string, overTLS bool) error {
	s, err := b.start(name, "", overTLS, "-collapse", "1ns")
	if err != nil {
		return err
	}
	defer s.kill()
	scrape, err := s.scraper()
	if err != nil {
		return err
	}
	defer scrape.close()
	before, err := scrape.settle(1)
	if err != nil {
		return err
	}
	all := cuts(s, probetest.Silence)
	results := make([]judged, len(all))
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	client, leave := context.WithCancel(ctx)
	defer leave()
	var ending atomic.Bool
	var over atomic.Int64 // clients that are through
	stay := 1             // the scraper's
	var wg sync.WaitGroup
	failed := make(chan error, len(all))
	for i, c := range all {
		ctx := ctx
		if o := c.expect(waited)[0]; o == "session" {
			ctx = client
			stay++
		} else if o == "server_closed/drain" {
			stay++
		}
		wg.Go(func() {
			defer over.Add(1)
			start := time.Now()
			res, err := c.run(ctx, s.target())
			if err != nil {
				failed <- err
			}
			if res.Ending != probetest.StillOpen && time.Since(start) < soon && !ending.Load() {
				results[i] = refused
			}
		})
	}
	// Those that wait for a timeout, if there is one, meet it.
	if _, err := settleAfter(scrape, int(before[metricAccepted])+len(all), stay); err != nil {
		return err
	}
	leave() // a session would be waited for
	if _, err := scrape.settle(stay - 1); err != nil {
		return err
	}
	// What is refused at once has been, and its client knows it.
	after, err := scrape.still(func(c counters) bool {
		return int64(c[metricAccepted]-before[metricAccepted])-int64(c[metricOpen]-1) == over.Load()
	})
	if err != nil {
		return err
	}
	if stay > 2 {
		err = scrape.hold()
	}
	ending.Store(true)
	s.terminate()
	wg.Wait()
	close(failed)
	if err := errors.Join(err, <-failed); err != nil {
		return err
	}
	if stay > 2 {
		<-time.After(time.Second) // a client knows of an end before the server has counted it
		if after, err = scrape.finish(); err != nil {
			return err
		}
	}
	if _, err := s.wait(patience); err != nil {
		return err
	}
	want := newTally()
	for i, c := range all {
		want.add(c.expect(results[i]), 1)
	}
	var wrong error
	if seen := newlyClosed(after, before); !maps.Equal(seen, want.classes) {
		wrong = fmt.Errorf("silent: %v, want %v", seen, want.classes)
	}
	return errors.Join(wrong, s.compare("silent", newlyClosed(after, before), want))
}

// settleAfter is settle once so many connections have been accepted.
func settleAfter(scrape *scraper, accepted, open int) (counters, error) {
	for end := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) {
		c, err := scrape.get()
		if err != nil || int(c[metricAccepted]) >= accepted {
			break
		}
		if time.Now().After(end) {
			return c, fmt.Errorf("%v accepted, want %d", c[metricAccepted], accepted)
		}
	}
	return scrape.settle(open)
}

// tally is what a number of connections should come to.
type tally struct {
	classes  map[string]int
	outcomes map[string]int // by all reasons that they may have
}

func newTally() tally { return tally{make(map[string]int), make(map[string]int)} }

func (t tally) add(of []outcome, n int) {
	t.classes[classOf(of[0])] += n
	t.outcomes[strings.Join(of, " or ")] += n
}

// newlyClosed returns how many connections ended between two scrapes, by class.
func newlyClosed(now, before counters) map[string]int {
	more, was := now.classes(), before.classes()
	for class, n := range was {
		if more[class] -= n; more[class] == 0 {
			delete(more, class)
		}
	}
	return more
}

// compare holds what a server has logged against what it should have: a line for
// each connection that failed, at once or as one of the repeats that a line
// counts, and none for another but the first of a kind.
func (s *server) compare(how string, seen map[string]int, want tally) error {
	all, err := s.entries()
	if err != nil {
		return err
	}
	got, lines, dropped := make(map[outcome]int), 0, 0
	var errs error
	for _, e := range all {
		if e.Msg == "log lines dropped" { // more at a time than the queue holds
			dropped += e.Count
		}
		if e.Class == "" || strings.HasPrefix(e.Msg, "flood of connections without a request") {
			continue // the server's own, and a handshake's line in the access log
		}
		lines++
		if !quiet(e.Class) {
			got[e.about()] += max(e.Count, 1)
		} else if !strings.HasPrefix(e.Msg, "probe seen") {
			errs = errors.Join(errs, fmt.Errorf("a line too many: %s", e.text))
		}
	}
	connections := 0
	for _, words := range slices.SortedFunc(maps.Keys(want.outcomes), func(a, b string) int { return cmp.Compare(len(a), len(b)) }) {
		n := want.outcomes[words] // those that may have one reason alone come first
		connections += n
		of := strings.Split(words, " or ")
		if quiet(classOf(of[0])) {
			continue
		}
		sum := 0
		for _, o := range of {
			taken := min(got[o], n-sum)
			sum += taken
			if got[o] -= taken; got[o] == 0 {
				delete(got, o)
			}
		}
		short := min(dropped, n-sum)
		dropped -= short
		if sum+short != n {
			errs = errors.Join(errs, fmt.Errorf("%s: %d connections in the log, want %d", words, sum, n))
		}
	}
	if len(got) > 0 {
		errs = errors.Join(errs, fmt.Errorf("more in the log than there should be: %v", got))
	}
	if lines > connections {
		errs = errors.Join(errs, fmt.Errorf("%d lines for %d connections", lines, connections))
	}
	var words []string
	for _, class := range slices.Sorted(maps.Keys(seen)) {
		if seen[class] > 0 {
			words = append(words, fmt.Sprintf("%d %s", seen[class], class))
		}
	}
	kind := map[bool]string{false: "plain", true: "TLS"}[s.tls]
	say("%-8s %-6s %-8s %12d %7d  %s\n", s.name, kind, how, connections, lines, strings.Join(words, ", "))
	return errs
}
