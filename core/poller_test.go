package core

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn/conntest"
	"github.com/quietws/quietws/core/internal/journal/logtest"
	"github.com/quietws/quietws/core/internal/prober"
)

// question sends a prober's question to h.
func question(h http.Handler, path, from, by string) {
	h.ServeHTTP(httptest.NewRecorder(), asked("GET", path, peerAt(from), agent(by)))
}

// asks lets a prober ask every interval until the test is over.
func asks(t *testing.T, h http.Handler, path, from, by string, interval time.Duration) {
	done := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			question(h, path, from, by)
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	}()
	t.Cleanup(func() { close(done); <-stopped })
}

// A drain goes on accepting until every prober of the readiness route has been answered
// 503 Fall times, if there is time. It goes on for two seconds if a known prober was
// there in any way, and not at all without one.
func TestDrainNotice(t *testing.T) {
	type prober struct {
		path, from, agent string
		interval          time.Duration
	}
	ready := func(interval time.Duration) prober { return prober{"/readyz", inside, kubelet, interval} }
	for _, row := range []struct {
		rule        string
		config      DrainConfig
		probers     []prober
		least, most time.Duration // how long the drain goes on accepting
		short       bool
		reported    int
		since       time.Duration // they ask
	}{
		{"no prober asks", DrainConfig{}, nil, 0, 0, false, 0, time.Minute},
		{"HAProxy's defaults, and time", DrainConfig{Timeout: 20 * time.Second},
			[]prober{ready(2 * time.Second)}, 4 * time.Second, 6*time.Second + noticeSettles + drainCheck, false, 1, time.Minute},
		{"HAProxy's defaults, and no time", DrainConfig{}, []prober{ready(2 * time.Second)}, 2 * time.Second, 2 * time.Second, true, 1, time.Minute},
		{"a prober that falls at once", DrainConfig{Fall: 1},
			[]prober{{"/readyz", inside, "", 500 * time.Millisecond}}, noticeSettles, 500*time.Millisecond + noticeSettles + drainCheck, false, 1, time.Minute},
		{"a known prober next to others", DrainConfig{Fall: 1},
			[]prober{ready(500 * time.Millisecond)}, 2*time.Second + noticeSettles, 2*time.Second + noticeSettles + drainCheck, false, 1, time.Minute},
		{"one that asks often", DrainConfig{}, []prober{ready(time.Second)}, 2 * time.Second, 3*time.Second + noticeSettles + drainCheck, false, 1, time.Minute},
		{"the slowest is waited for", DrainConfig{Timeout: 30 * time.Second},
			[]prober{ready(time.Second), {"/readyz", "10.0.0.2:1", "", 5 * time.Second}}, 10 * time.Second, 15*time.Second + noticeSettles + drainCheck, false, 2, time.Minute},
		{"one that is too slow does not cut the wait for the others short", DrainConfig{Timeout: 20 * time.Second},
			[]prober{ready(2 * time.Second), {"/readyz", "10.0.0.2:1", "", 10 * time.Second}}, 4 * time.Second, 6*time.Second + noticeSettles + drainCheck, true, 2, time.Minute},
		{"and has two seconds where they need less", DrainConfig{Timeout: 20 * time.Second},
			[]prober{ready(300 * time.Millisecond), {"/readyz", "10.0.0.2:1", "", 10 * time.Second}}, 2 * time.Second, 2*time.Second + noticeSettles + drainCheck, true, 2, time.Minute},
		{"one that has asked only once, and comes again", DrainConfig{Timeout: 20 * time.Second},
			[]prober{ready(2 * time.Second)}, 4 * time.Second, 6*time.Second + noticeSettles + drainCheck, false, 1, time.Second},
		{"one without a name, such as HAProxy's own check", DrainConfig{Timeout: 20 * time.Second},
			[]prober{{"/readyz", inside, "", 2 * time.Second}}, 4 * time.Second, 6*time.Second + noticeSettles + drainCheck, false, 1, time.Second},
		{"one that has asked only once, and does not come back", DrainConfig{Timeout: 20 * time.Second},
			[]prober{{"/readyz", inside, kubelet, time.Hour}}, 2 * time.Second, 2*time.Second + drainCheck, false, 1, time.Second},
		{"a browser that has asked only once", DrainConfig{Timeout: 20 * time.Second},
			[]prober{{"/readyz", inside, "curl/8.0", time.Hour}}, 0, 0, false, 0, time.Second},
		{"a drain that does not wait by Config", DrainConfig{Fall: -1}, []prober{ready(time.Second)}, 0, 0, false, 0, time.Minute},
		{"a browser that has asked twice", DrainConfig{Timeout: 20 * time.Second},
			[]prober{{"/readyz", inside, "curl/8.0", 2 * time.Second}}, 0, 0, false, 0, 3 * time.Second},
		{"an unknown one that asks as regularly as a program", DrainConfig{Timeout: 20 * time.Second},
			[]prober{{"/readyz", inside, "lb/1", 2 * time.Second}}, 4 * time.Second, 6*time.Second + noticeSettles + drainCheck, false, 1, 5 * time.Second},
		{"liveness: the platform is there, and may not ask", DrainConfig{}, []prober{{"/livez", inside, kubelet, 10 * time.Second}},
			2 * time.Second, 2*time.Second + drainCheck, false, 0, time.Minute},
		{"the health route, asked only once", DrainConfig{}, []prober{{"/healthz", inside, kubelet, time.Hour}},
			2 * time.Second, 2*time.Second + drainCheck, false, 0, time.Minute},
		{"as long as there is time", DrainConfig{Timeout: 2 * time.Second}, []prober{{"/livez", inside, kubelet, time.Second}},
			500 * time.Millisecond, 500*time.Millisecond + drainCheck, false, 0, time.Minute},
		{"one that has gone", DrainConfig{}, []prober{{"/livez", inside, kubelet, time.Hour}}, 0, 0, false, 0, 91 * time.Second},
		{"liveness, from an unknown prober", DrainConfig{}, []prober{{"/livez", inside, "curl/8.0", time.Second}}, 0, 0, false, 0, time.Minute},
		{"a client from the internet that claims to be a prober", DrainConfig{}, []prober{{"/readyz", internet, kubelet, time.Second}}, 0, 0, false, 0, time.Minute},
	} {
		t.Run(row.rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := quietGuard(t, Config{Drain: row.config})
				h := g.Wrap(http.NotFoundHandler())
				for i, p := range row.probers {
					asks(t, h, p.path, p.from, p.agent, p.interval)
					<-time.After(time.Duration(i+1) * 70 * time.Millisecond)
				}
				<-time.After(row.since)
				accepting := func() bool {
					w := httptest.NewRecorder()
					h.ServeHTTP(w, handshake())
					return w.Code == 404 // the application answered
				}
				if !accepting() {
					t.Fatal("a handshake is refused before the drain")
				}
				start := time.Now()
				over := make(chan DrainReport)
				go func() { over <- drained(t, g) }()
				<-g.Draining()
				for accepting() && time.Since(start) < time.Minute {
					<-time.After(drainCheck)
				}
				synctest.Wait()
				refused := time.Since(start)
				if refused < row.least || refused > row.most+drainCheck {
					t.Errorf("accepted for %v, want %v to %v", refused, row.least, row.most)
				}
				r := <-over
				if r.TooShort != row.short || len(r.Probers) != row.reported {
					t.Errorf("too short %v, want %v; probers %+v, want %d", r.TooShort, row.short, r.Probers, row.reported)
				}
				if d := r.Notice - refused; d.Abs() > drainCheck {
					t.Errorf("the report says %v, it was %v", r.Notice, refused)
				}
				for _, p := range r.Probers {
					if enough, slow := p.Refused >= max(row.config.Fall, 3), row.short && p.Interval*3 > row.config.room(); p.Interval > 0 && enough == slow && row.config.Fall == 0 {
						t.Errorf("%+v: noticed %v", p, enough)
					}
				}
			})
		})
	}
}

// In Kubernetes a pod leaves its Service because it is deleted; no prober asks it.
func TestDrainNoticeInKubernetes(t *testing.T) {
	t.Setenv(inKubernetes, "10.96.0.1")
	for _, row := range []struct {
		rule   string
		config DrainConfig
		want   time.Duration
	}{
		{"two seconds", DrainConfig{}, 2 * time.Second},
		{"as long as there is time", DrainConfig{Timeout: 2 * time.Second}, 500 * time.Millisecond},
		{"a drain that does not wait by Config", DrainConfig{Fall: -1}, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := quietGuard(t, Config{Drain: row.config})
			h := g.Wrap(http.NotFoundHandler())
			begun := make(chan DrainReport)
			go func() { begun <- drained(t, g) }()
			<-g.Draining()
			w := httptest.NewRecorder()
			h.ServeHTTP(w, handshake())
			if accepted := w.Code == 404; accepted != (row.want > 0) {
				t.Errorf("%s: a handshake at its start is answered %d", row.rule, w.Code)
			}
			if r := <-begun; r.Notice < row.want || r.Notice > row.want+drainCheck {
				t.Errorf("%s: accepted for %v, want %v", row.rule, r.Notice, row.want)
			}
		})
	}
}

// A prober that only connects is a known one if its address says so.
func TestDrainNoticeForProbesByTCP(t *testing.T) {
	for from, want := range map[string]time.Duration{"168.63.129.16:1000": noticeLeast, "10.0.0.9:1000": 0, "192.0.2.1:1000": 0} {
		synctest.Test(t, func(t *testing.T) {
			g := quietGuard(t, Config{})
			c := watched(g, &conntest.Script{Addr: conntest.TCPAddr(from), Reads: []conntest.Step{{Data: "", Err: io.EOF}}})
			_, _ = c.Read(make([]byte, 1))
			_ = c.Close()
			if n := g.Snapshot().Closed[event.TCPProbe]; n != 1 {
				t.Fatalf("%s: %v, want a tcp_probe", from, g.Snapshot().Closed)
			}
			if r := drained(t, g); r.Notice < want || r.Notice > want+drainCheck {
				t.Errorf("%s: accepted for %v, want %v", from, r.Notice, want)
			}
		})
	}
}

// A drain does not wait for a prober that is gone. A server that accepts no more has no
// reason to wait.
func TestDrainNoticeEndsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := quietGuard(t, Config{Drain: DrainConfig{Timeout: time.Minute}})
		h := g.Wrap(http.NotFoundHandler())
		for range 5 {
			question(h, "/readyz", inside, kubelet)
			<-time.After(2 * time.Second)
		}
		// Its last question was two seconds ago. After six it is considered gone.
		if r := drained(t, g); r.Notice < 4*time.Second || r.Notice > 4*time.Second+noticeSettles+2*drainCheck {
			t.Errorf("waited %v for a prober that never came back", r.Notice)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		g := quietGuard(t, Config{Drain: DrainConfig{Timeout: time.Minute}})
		h := g.Wrap(http.NotFoundHandler())
		asks(t, h, "/readyz", inside, kubelet, 2*time.Second)
		<-time.After(time.Minute)
		g.Adapter().ShuttingDown()
		if r := drained(t, g); r.Notice != 0 {
			t.Errorf("waited %v though the server accepts no more", r.Notice)
		}
	})
}

// A load balancer's burst of questions counts once per interval.
func TestPollerBursts(t *testing.T) {
	var p poller
	at := time.Duration(0)
	for range 10 { // three questions at once, every second
		for i := range 3 {
			p.ask(at+time.Duration(i)*time.Millisecond, false)
		}
		at += time.Second
	}
	if p.interval(0) != time.Second || p.asked != 10 {
		t.Fatalf("an interval of %v in %d questions, want 1s in 10", p.interval(0), p.asked)
	}
	for i := range 3 {
		p.ask(at+time.Duration(i)*time.Millisecond, true)
	}
	if p.refused != 1 {
		t.Errorf("refused %d times, want 1: it was one interval", p.refused)
	}
	p.ask(at+time.Second, true)
	p.ask(at+2*time.Second, true)
	if p.refused != 3 {
		t.Errorf("refused %d times, want 3", p.refused)
	}
	p.ask(at+3*time.Second, false)
	if p.refused != 0 {
		t.Error("an answer that it is ready ends the row")
	}
}

// A client without a name is a prober from the third of three questions at even
// intervals, whatever comes after.
func TestPollerKnowsAProberByItsInterval(t *testing.T) {
	for _, row := range []struct {
		rule   string
		gaps   []time.Duration
		prober bool
	}{
		{"once", nil, false},
		{"twice", []time.Duration{5 * time.Second}, false},
		{"three times, even", []time.Duration{5 * time.Second, 5 * time.Second}, true},
		{"three times, with the jitter of a prober", []time.Duration{5 * time.Second, 6250 * time.Millisecond}, true},
		{"three times, like a browser", []time.Duration{5 * time.Second, 6260 * time.Millisecond}, false},
		{"the other way round", []time.Duration{6260 * time.Millisecond, 5 * time.Second}, false},
		{"uneven at first", []time.Duration{time.Second, 5 * time.Second, 5 * time.Second}, true},
		{"uneven afterwards", []time.Duration{5 * time.Second, 5 * time.Second, time.Second}, true},
		{"three in a burst", []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := quietGuard(t, Config{})
			key := pollerKey{addr: netip.MustParseAddr("10.0.0.2")}
			g.polled(key, false, 200)
			for _, gap := range row.gaps {
				<-time.After(gap)
				g.polled(key, false, 200)
			}
			if got := len(g.ending.pollers.active(g.now())) == 1; got != row.prober {
				t.Errorf("%s: a prober %v, want %v", row.rule, got, row.prober)
			}
		})
	}
}

// A single long interval is forgotten.
func TestPollerInterval(t *testing.T) {
	var p poller
	p.ask(time.Second, false)
	if p.active(time.Second, 3*time.Second) {
		t.Error("one question may come from a browser")
	}
	p.automated = true
	if p.active(time.Second+1, 0) || !p.active(10*time.Second, 3*time.Second) || p.active(10*time.Second+1, 3*time.Second) {
		t.Error("one question is a prober's if it may come back in time")
	}
	p.ask(time.Hour, false)
	for i := range 4 {
		p.ask(time.Hour+time.Duration(i+1)*time.Second, false)
	}
	if p.interval(0) != time.Second {
		t.Errorf("an interval of %v, want 1s", p.interval(0))
	}
	last := time.Hour + 4*time.Second
	if !p.active(last+3*time.Second, 0) || p.active(last+3*time.Second+1, 0) {
		t.Error("a prober is gone after three intervals, and not before")
	}
}

// The table is limited, and probers that still ask stay in it.
func TestPollersBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := quietGuard(t, Config{})
		h := g.Wrap(http.NotFoundHandler())
		for i := range 10 * maxPollers {
			question(h, "/readyz", inside, kubelet)
			question(h, "/readyz", fmt.Sprintf("10.1.%d.%d:1", i/250, i%250), "")
			<-time.After(time.Second)
		}
		if n := len(g.ending.pollers.m); n != maxPollers {
			t.Errorf("%d probers are remembered, want %d", n, maxPollers)
		}
		kube := prober.ByHead(httpHead{&http.Request{Header: http.Header{"User-Agent": {kubelet}}}})
		if p := g.ending.pollers.m[pollerKey{netip.MustParseAddr("10.0.0.9"), kube}]; p == nil || p.asked != 10*maxPollers {
			t.Errorf("the one that asks is remembered as %+v", p)
		}
	})
}

// A drain that is too short for a prober is logged once, while there is time to fix it.
func TestTooShortIsLogged(t *testing.T) {
	for _, row := range []struct {
		rule     string
		drain    DrainConfig
		interval time.Duration
		logged   bool
	}{
		{"it fits", DrainConfig{}, time.Second, false},
		{"it does not", DrainConfig{}, 10 * time.Second, true},
		{"it does with the time", DrainConfig{Timeout: time.Minute}, 10 * time.Second, false},
		{"a drain that does not wait", DrainConfig{Fall: -1}, 10 * time.Second, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			g, log := newGuardAndLog(t, Config{Drain: row.drain}, slog.LevelInfo)
			h := g.Wrap(http.NotFoundHandler())
			for range 20 {
				question(h, "/readyz", inside, kubelet)
				question(h, "/readyz", "10.0.0.2:1", "")
				<-time.After(row.interval)
			}
			const message = "this drain is shorter than a prober needs"
			lines := linesLoggedBy(t, g, log)
			i := slices.IndexFunc(lines, func(l logtest.Line) bool { return l.Msg == message })
			if (i >= 0) != row.logged {
				t.Fatalf("%s: logged %v, want %v", row.rule, i >= 0, row.logged)
			}
			if i < 0 {
				return
			}
			logtest.WantAttrs(t, lines[i], map[string]string{"prober": "kubelet", "remote": "10.0.0.9", "interval": "10s", "fall": "3", "timeout": "9s",
				"remedy": "let it ask more often or fail after fewer answers, or raise Config.Drain.Timeout, and the platform's grace period with it, to 33s or more"})
			if slices.ContainsFunc(lines[i+1:], func(l logtest.Line) bool { return l.Msg == message }) {
				t.Errorf("%s: logged twice", row.rule)
			}
		})
	}
}
