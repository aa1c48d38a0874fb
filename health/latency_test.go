package health

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quietws/quietws/core"
)

// A check that blocks for ever does not slow down other answers: the p99 of /readyz with
// 100 callers is at most twice the p99 without it.
func TestHungCheckCostsNoLatency(t *testing.T) {
	const callers, each, rounds, most = 100, 10, 50, 2.0
	hung := newHanging(true)
	defer close(hung.letGo)
	serve := func(more ...Check) *httptest.Server {
		c := New(Config{Logger: slog.New(slog.DiscardHandler)})
		mustAdd(t, c, Check{Name: "db", Func: passes, Interval: 10 * time.Millisecond}, Check{Name: "loop", Kind: Live, Func: passes})
		mustAdd(t, c, more...)
		g, err := core.New(core.Config{Health: c, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		s := httptest.NewServer(g.Wrap(http.NewServeMux()))
		t.Cleanup(func() { s.Close(); _ = g.Close(); _ = c.Close() })
		return s
	}
	without := serve()
	with := serve(Check{Name: "hangs", Func: hung.check, Interval: 10 * time.Millisecond, Timeout: 10 * time.Millisecond},
		Check{Name: "hangs-too", Func: hung.check, Interval: 10 * time.Millisecond, Timeout: time.Minute, Kind: Live | Ready | Startup, Optional: true})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}, Timeout: time.Minute}
	defer client.CloseIdleConnections()

	// p99 is that of one round, in which all callers ask at once.
	p99 := func(s *httptest.Server, status int) time.Duration {
		var mu sync.Mutex
		var all []time.Duration
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				took := make([]time.Duration, 0, each)
				for range each {
					begun := time.Now()
					res, err := client.Get(s.URL + "/readyz")
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
					took = append(took, time.Since(begun))
					if status != 0 && res.StatusCode != status {
						t.Errorf("answered %d, want %d", res.StatusCode, status)
					}
				}
				mu.Lock()
				defer mu.Unlock()
				all = append(all, took...)
			})
		}
		wg.Wait()
		slices.Sort(all)
		if len(all) == 0 {
			t.FailNow()
		}
		return all[len(all)*99/100]
	}
	p99(without, 0) // opens the connections
	p99(with, 0)
	until(t, "the hung check's failure", func() bool {
		res, err := client.Get(with.URL + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode == 503
	})
	// The best round of each counts: other load on the machine makes a round slower, never
	// faster.
	slow, fast := time.Hour, time.Hour
	for i := range rounds {
		fast = min(fast, p99(without, 200))
		slow = min(slow, p99(with, 503))
		if i >= 2 && float64(slow) <= most*float64(fast) {
			break
		}
	}
	t.Logf("p99 %v with a check that hangs, %v without", slow, fast)
	if float64(slow) > most*float64(fast) {
		t.Errorf("p99 is %v with a check that hangs and %v without, want at most %v times as much", slow, fast, most)
	}
}
