package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/examples/libraries/strict"
)

// ending is a way in which a session ends.
type ending struct {
	name   string
	end    string // what the guard should say
	code   int    // the same
	tls    bool   // it needs TLS
	server bool   // the application closes, with this code
	client func(*strict.Conn) error
}

// What the guard calls an end.
const (
	closed   = "closed"
	vanished = "vanished"
)

// endings are the columns of the second table.
var endings = []ending{
	{name: "client 1000", end: closed, code: 1000, client: func(c *strict.Conn) error { return c.Goodbye(1000) }},
	{name: "client 4001", end: closed, code: 4001, client: func(c *strict.Conn) error { return c.Goodbye(4001) }},
	{name: "client, no code", end: closed, code: 1005, client: func(c *strict.Conn) error { return c.Goodbye(1005) }},
	{name: "FIN", end: vanished, code: 1006, client: (*strict.Conn).Leave},
	{name: "RST", end: vanished, code: 1006, client: (*strict.Conn).Reset},
	{name: "close_notify", end: vanished, code: 1006, tls: true, client: (*strict.Conn).Close},
	{name: "server 1000", end: closed, code: 1000, server: true},
	{name: "server 1008", end: closed, code: 1008, server: true},
	{name: "server 1011", end: closed, code: 1011, server: true},
}

// endRow is a line of the second table.
type endRow struct {
	library  *library
	got      []string      // for each ending
	silent   time.Duration // the drain of silent peers
	problems []string
}

// has reports whether an application on l can end a session so.
func (l *library) has(e ending) bool {
	return !e.server || l.codes == nil || slices.Contains(l.codes, e.code)
}

// ends ends a session of l in each way.
func (l *library) ends() endRow {
	r := endRow{library: l, got: make([]string, len(endings))}
	framework := frameworks[slices.IndexFunc(frameworks, l.on)]
	for _, tls := range []bool{false, true} {
		c, err := server{library: l, framework: framework, setup: served, tls: tls}.paced(1).start()
		if err != nil {
			r.problems = append(r.problems, err.Error())
			return r
		}
		for i, e := range endings {
			switch {
			case e.tls != tls:
			case !l.has(e):
				r.got[i] = "–"
			default:
				r.got[i] = c.try(e)
				if e.wrong(r.got[i]) {
					r.problems = append(r.problems, e.name+": "+r.got[i])
				}
			}
		}
		if err := r.drain(c); err != nil {
			r.problems = append(r.problems, err.Error())
			c.kill()
		}
	}
	return r
}

// silents is how many peers answer nothing.
const silents = 5

// silentLimit is what their drain may take: the spread, the two seconds of a linger,
// and slack.
const silentLimit = 50*time.Millisecond + 2*time.Second + slack

// drain terminates c, and on the plain port has peers until then that answer nothing,
// a close frame least of all.
func (r *endRow) drain(c *child) error {
	if !c.tls {
		for range silents {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			conn, err := c.dial(ctx)
			cancel()
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close() }()
			if err := c.beSilent(conn); err != nil {
				return err
			}
		}
	}
	took, err := c.terminate()
	if err == nil && !c.tls {
		r.silent = took
		if took > silentLimit {
			err = fmt.Errorf("the drain of %d silent peers takes %v", silents, took.Round(10*time.Millisecond))
		}
	}
	return err
}

// beSilent opens a session and waits for the first push. From then on it reads alone.
func (c *child) beSilent(conn *strict.Conn) error {
	d := c.library.dialect
	say := d.hello(0)
	for {
		for _, m := range say {
			if err := conn.Send(probetest.OpText, []byte(m), 1); err != nil {
				return err
			}
		}
		if err := conn.ReadWithin(patience); err != nil {
			return err
		}
		m, err := conn.Next()
		if err != nil {
			return err
		}
		if say = nil; m.Opcode > probetest.OpBinary {
			continue
		}
		h, err := d.decode(m.Payload)
		if err != nil {
			return err
		}
		if len(h.payloads) > 0 {
			go func() {
				for err == nil {
					_, err = conn.Next()
				}
			}()
			return nil
		}
		say = h.answers
	}
}

func (r endRow) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	return fmt.Errorf("%s ends: %q", r.library.name, r.problems)
}

// wrong reports whether the guard says something else than it should.
func (e ending) wrong(got string) bool {
	want := ended{End: e.end, Code: e.code}.String()
	return got != want && !(len(got) > len(want) && got[:len(want)+1] == want+" ")
}

// try ends one session and returns what the guard says of it.
func (c *child) try(e ending) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := c.dial(ctx)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = conn.Close() }()
	if err := c.endBy(conn, e); err != nil {
		return err.Error()
	}
	_ = conn.Close() // a proxy waits for both sides
	select {
	case end, ok := <-c.ends:
		if !ok {
			return "the server died"
		}
		if e.end == closed && end.Answered != nil && !*end.Answered {
			return end.String() + " not answered"
		}
		return end.String()
	case <-time.After(patience):
		return "nothing"
	}
}

// endBy says hello, waits for the first push, ends the session and reads to its end.
func (c *child) endBy(conn *strict.Conn, e ending) error {
	d := c.library.dialect
	say := func(messages ...string) error {
		for _, m := range messages {
			if err := conn.Send(probetest.OpText, []byte(m), 1); err != nil {
				return err
			}
		}
		return nil
	}
	code := 0
	_, byHello := d.(graphQL)
	if e.server && byHello {
		code = e.code
	}
	if err := say(d.hello(code)...); err != nil {
		return err
	}
	done := code != 0 // the end was asked for
	for {
		if err := conn.ReadWithin(patience); err != nil {
			return err
		}
		m, err := conn.Next()
		breach := new(strict.Fault)
		switch {
		case errors.As(err, &breach):
			return err
		case err != nil:
			return nil // however the connection ended
		case m.Opcode == probetest.OpClose:
			if err := conn.Goodbye(m.Code()); err != nil && !errors.Is(err, strict.ErrClosed) {
				return nil // it is gone
			}
			continue
		case m.Opcode > probetest.OpBinary:
			continue
		}
		h, err := d.decode(m.Payload)
		if err != nil {
			return err
		}
		if err := say(h.answers...); err != nil && !done {
			return err
		}
		if done || len(h.payloads) == 0 {
			continue
		}
		done = true
		if e.server {
			err = say(string(d.encode(0, strconv.AppendInt([]byte{order}, int64(e.code), 10))))
		} else {
			err = e.client(conn)
		}
		if err != nil || e.end == vanished {
			return err
		}
	}
}
