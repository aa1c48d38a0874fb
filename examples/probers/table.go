package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// row is one program, used in one way, against one port of every server, and the
// expected result.
type row struct {
	program, way string
	version      func() string
	tls          bool
	do           func(*trial) error // nil if the group does it for all
	verdict      string             // of the prober: up or down; "" if the program is not a prober
	session      string             // the session's outcome: ok, or fixed if it was refused at first
	classes      []string           // all that were counted
	spare        []string           // that may be counted too
	detail       string             // for the table: reason and proxy of the log line
	most         int                // most lines allowed if spare was counted
	with         string             // what the group configures for it
	own          string             // a server of its own, in place of the examples
	flags        []string           // of that
	lines        int                // that the server logged, without its access log
}

// group is what runs side by side.
type group struct {
	programs []debian
	rows     []row
	before   func() error // nil: no preparation
	// all does its part for the rows that have none of their own, before those.
	all func(*bench, []*trial) error
}

// trial is a row on one server, which runs for it alone.
type trial struct {
	*bench
	*row
	server  *server
	watched *websocket.Conn // in a prober's row: a session open meanwhile
	before  mark
	failed  error

	// The results.
	verdict string
	session string
	classes []string
	lines   int
}

// atOnce is how many trials run side by side.
const atOnce = 4

// each runs do on every trial that has not failed.
func each(all []*trial, do func(*trial) error) {
	places := make(chan struct{}, atOnce)
	var running sync.WaitGroup
	for _, t := range all {
		places <- struct{}{}
		running.Go(func() {
			defer func() { <-places }()
			if t.failed == nil {
				t.failed = do(t)
			}
		})
	}
	running.Wait()
}

// groups are all.
func groups(b *bench) []group {
	all := []group{kubelet(), haproxyProber(), caddyProber(), monitProber()}
	all = append(all, commands()...)
	all = append(all, proxied())
	all = append(all, clients(b)...)
	return append(all, behindProxyProtocol(b), chromium())
}

// real runs every group and writes the table.
func real(b *bench) error {
	only, err := regexp.Compile(b.rows)
	if err != nil {
		return err
	}
	groups := groups(b)
	for i := range groups {
		groups[i].rows = slices.DeleteFunc(groups[i].rows, func(r row) bool { return !only.MatchString(r.program + ", " + r.way) })
	}
	groups = slices.DeleteFunc(groups, func(g group) bool { return len(g.rows) == 0 })
	var programs []debian
	for _, g := range groups {
		programs = append(programs, g.programs...)
	}
	if err := need(programs...); err != nil {
		return err
	}
	var done []*trial
	for _, g := range groups {
		start := time.Now()
		trials, err := b.runGroup(g)
		if err != nil {
			return err
		}
		done = append(done, trials...)
		fmt.Fprintf(os.Stderr, "%s and %d more rows: %s\n", g.rows[0].program, len(g.rows)-1, round(time.Since(start)))
	}
	var errs error
	for _, t := range done {
		if t.failed != nil {
			errs = errors.Join(errs, fmt.Errorf("%s, %s, %s: %w", t.program, t.way, port(t.server.name, t.tls), t.failed))
		}
	}
	say("%s", b.table(done))
	return errs
}

func port(name string, overTLS bool) string {
	if overTLS {
		return name + " TLS"
	}
	return name
}

func (b *bench) runGroup(g group) ([]*trial, error) {
	if g.before != nil {
		if err := g.before(); err != nil {
			return nil, err
		}
	}
	var all []*trial
	for i := range g.rows {
		names := b.servers
		if own := g.rows[i].own; own != "" {
			names = []string{own}
		}
		for _, name := range names {
			all = append(all, &trial{bench: b, row: &g.rows[i], server: &server{name: name}})
		}
	}
	each(all, (*trial).start)
	defer func() { // those that have failed too
		for _, t := range all {
			t.end()
		}
	}()
	if g.all != nil {
		var together []*trial
		for _, t := range all {
			if t.do == nil && t.failed == nil {
				together = append(together, t)
			}
		}
		if err := g.all(b, together); err != nil {
			return nil, err
		}
	}
	each(all, func(t *trial) error {
		if t.do == nil {
			return nil
		}
		return t.do(t)
	})
	each(all, (*trial).judge)
	return all, nil
}

func (t *trial) start() error {
	s, err := t.bench.start(t.server.name, "", t.tls, t.flags...)
	if err != nil {
		return err
	}
	t.server = s
	open := 0
	if t.row.verdict != "" && t.own == "" {
		ws, res, err := s.dial()
		if err != nil {
			return err
		}
		_ = res.Body.Close()
		t.watched, open = ws, 1
	}
	t.before, err = s.settle(open)
	return err
}

func (t *trial) end() {
	if t.watched != nil {
		_ = t.watched.Close()
	}
	if t.server.cmd != nil {
		t.server.kill()
	}
}

// judge compares the results with the expected ones.
func (t *trial) judge() error {
	open := 0
	if t.watched != nil {
		open = 1
		t.session = "ok"
		if err := echoes(t.watched); err != nil {
			return fmt.Errorf("the session next to it: %w", err)
		}
	}
	after, err := t.server.settle(open)
	if err != nil {
		return err
	}
	t.classes = after.since(t.before)
	own, access, err := t.logged(t.row.lines)
	if err != nil {
		return err
	}
	t.lines = len(own)
	switch {
	case t.verdict != t.row.verdict:
		err = fmt.Errorf("the prober says %q, want %q", t.verdict, t.row.verdict)
	case t.session != t.row.session:
		err = fmt.Errorf("the session is %q, want %q", t.session, t.row.session)
	case !slices.Equal(slices.DeleteFunc(slices.Clone(t.classes), func(c string) bool { return slices.Contains(t.spare, c) }), t.row.classes):
		err = fmt.Errorf("counted %q, want %q", t.classes, t.row.classes)
	case t.lines < t.row.lines || t.lines > max(t.row.lines, t.row.most):
		err = fmt.Errorf("%d lines, want %d", t.lines, t.row.lines)
	case t.watched != nil && t.row.verdict == up && len(access) > 0:
		err = fmt.Errorf("a probe in the access log: %+v", access)
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, t.server.log.String()[t.before.logged:])
	}
	return nil
}

// logged returns the server's lines once there are n, or else after a while. The log is
// written after the requests: a line too many gets a moment to appear.
func (t *trial) logged(n int) (own, access []line, err error) {
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); <-time.After(20 * time.Millisecond) {
		if own, _, err = t.server.lines(t.before); err != nil || len(own) >= n {
			break
		}
	}
	<-time.After(100 * time.Millisecond)
	return t.server.lines(t.before)
}

// echoes sends a message on a session and waits for its echo.
func echoes(ws *websocket.Conn) error {
	const said = "hello"
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	if err := ws.WriteMessage(websocket.TextMessage, []byte(said)); err != nil {
		return err
	}
	if _, heard, err := ws.ReadMessage(); err != nil || string(heard) != said {
		return fmt.Errorf("said %q, heard %q: %w", said, heard, err)
	}
	return nil
}

// over is why a session's trial may end: it was closed in good form.
func over(ws *websocket.Conn) error {
	_ = ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""))
	_, _, err := ws.ReadMessage()
	if !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		return fmt.Errorf("the close was not answered: %w", err)
	}
	return ws.Close()
}

// table is what was seen, in the words of its README.
func (b *bench) table(all []*trial) string {
	var t strings.Builder
	t.WriteString("| program | how | port | counted as | " + strings.Join(b.servers, " | ") + " |\n|---|---|---|---|" + strings.Repeat("---|", len(b.servers)) + "\n")
	for len(all) > 0 {
		r := all[0].row
		cells := make([]string, len(b.servers))
		for i := range cells {
			cells[i] = "–"
		}
		for len(all) > 0 && all[0].row == r {
			cells[max(slices.Index(b.servers, all[0].server.name), 0)] = all[0].cell()
			all = all[1:]
		}
		counted := strings.Join(r.classes, ", ")
		switch {
		case counted == "":
			counted = "–"
		case r.detail != "":
			counted += " (" + r.detail + ")"
		}
		fmt.Fprintf(&t, "| %s %s | %s | %s | %s | %s |\n", r.program, r.version(), r.way, map[bool]string{false: "plain", true: "TLS"}[r.tls],
			counted, strings.Join(cells, " | "))
	}
	return t.String()
}

func (t *trial) cell() string {
	if t.failed != nil {
		return "**failed**"
	}
	words := make([]string, 0, 3)
	if t.verdict != "" {
		words = append(words, t.verdict)
	}
	return strings.Join(append(words, fmt.Sprint(t.lines), t.session), " · ")
}
