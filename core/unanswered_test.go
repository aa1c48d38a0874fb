package core

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/conn/conntest"
)

// All unanswered handshakes share one timer, and each has its three seconds. One that is
// answered late is still a session.
func TestUnansweredHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := make(chan event.Event, 10)
		g := quietGuard(t, Config{Observe: func(e event.Event) { events <- e }})
		opened := func() (*conn.Conn, Request) {
			r := handshake()
			q := g.Adapter().BeginHTTP(r)
			return q.open(&conntest.Script{}).(*conn.Conn), q.Request
		}
		logged := func() (n int) {
			synctest.Wait()
			for ; len(events) > 0; n++ {
				if e := <-events; e.Class != event.UpgradeFailed || e.Reason != event.ReasonNothingWritten {
					t.Errorf("%+v", e)
				}
			}
			return n
		}
		first, r1 := opened()
		<-time.After(2 * time.Second)
		second, r2 := opened()
		third, r3 := opened()
		_, _ = third.Write([]byte(answer101))
		<-time.After(time.Second + time.Millisecond)
		if n := logged(); n != 1 {
			t.Errorf("after three seconds %d were logged, want the first", n)
		}
		<-time.After(2 * time.Second)
		if n := logged(); n != 1 {
			t.Errorf("three seconds after it %d were logged, want the second", n)
		}
		_, _ = first.Write([]byte(answer101))
		<-time.After(time.Minute)
		_ = second.Close()
		r2.Done(0, nil)
		if n := logged(); n != 0 || g.unanswered.waiting.Load() != 0 || g.unanswered.looking.Load() {
			t.Errorf("%d logged again, %d awaited", n, g.unanswered.waiting.Load())
		}
		_, _ = first.Close(), third.Close()
		r1.Done(0, nil)
		r3.Done(0, nil)
		synctest.Wait()
		for range 2 {
			if e := <-events; e.Class != event.SessionEnded {
				t.Errorf("%+v", e)
			}
		}
		want := []HandshakeCount{{Result: "accepted", N: 2}, {Result: "failed", Reason: event.ReasonNothingWritten, N: 1}}
		if got := g.Snapshot().Handshakes; !slices.Equal(got, want) {
			t.Errorf("counted %v, want %v", got, want)
		}
	})
}

// Under TLS the answer cannot be read; its length decides. But if the 101 is known to be
// kept back, the bytes are frames.
func TestUnderTLSFramesAreNoAnswer(t *testing.T) {
	for _, held := range []bool{false, true} {
		g := quietGuard(t, Config{})
		c := watched(g, &conntest.Script{Reads: []conntest.Step{{Data: "\x16\x03\x01", Err: nil}}})
		readFrom(c)
		q := g.Adapter().beginOnConn(httpHead{handshake()}, c)
		if held {
			q.x.heldBy("a layer")
		}
		nc := q.open(c)
		_, _ = nc.Write([]byte("\x17\x03\x03\x00\x80" + strings.Repeat("x", 128)))
		if q.x.is(stateConfirmed) == held {
			t.Errorf("held back %t: accepted %t", held, !held)
		}
		_ = c.Close()
		q.Done(0, nil)
	}
}
