package prom_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/core/prom"
)

// A scrape has exactly the documented metrics and labels.
func TestScrape(t *testing.T) {
	s := start(t, core.Config{Health: reporter{{"queue", "warn"}, {"database", "pass"}}})
	for range 3 {
		s.get("/")
	}
	for range 2 {
		if status := s.get("/livez", "User-Agent", "kube-probe/1.31"); status != 200 {
			t.Errorf("/livez: %d", status)
		}
	}
	for range 4 {
		s.connect()
	}
	if status := s.get("/ws", "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13"); status < 400 {
		t.Errorf("a handshake without a key: %d", status)
	}
	if _, err := s.session().Close(t.Context(), 1000); err != nil {
		t.Error(err)
	}
	s.until("all ended", allClosed)

	last := s.session()
	before := s.scrape()
	for sample, want := range map[string]float64{
		"quietws_connections_open": 1, "quietws_sessions_open": 1, "quietws_ready": 1, "quietws_draining": 0,
	} {
		if before[sample] != want {
			t.Errorf("with a session open %s is %v, want %v", sample, before[sample], want)
		}
	}
	left := make(chan int, 1)
	go func() {
		goodbye, _ := last.Read(context.Background())
		_, _ = last.Close(context.Background(), goodbye.Code())
		left <- goodbye.Code()
	}()
	s.stop()
	if code := <-left; code != 1001 {
		t.Errorf("at the drain the client got %d, want close code 1001", code)
	}
	s.until("ended", allClosed)
	if err := s.guard.Close(); err != nil { // which lines are suppressed is known when the log is written
		t.Fatal(err)
	}

	golden, err := os.Open("testdata/scrape.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = golden.Close() }()
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		switch f.GetName() {
		case "quietws_build_info":
			if got := labels(f.GetMetric()[0]); got != fmt.Sprintf("{version=%q}", core.Version()) {
				t.Errorf("build_info has the labels %s", got)
			}
		case "quietws_prober_last_seen_timestamp_seconds":
			m := f.GetMetric()[0]
			age := float64(time.Now().UnixMilli())/1e3 - m.GetGauge().GetValue()
			if got := labels(m); got != `{prober="kubelet"}` || age < 0 || age > patience.Seconds() {
				t.Errorf("the kubelet was last seen %vs ago, with the labels %s", age, got)
			}
		default:
			names = append(names, f.GetName())
		}
	}
	if err := testutil.GatherAndCompare(s.registry, golden, names...); err != nil {
		t.Error(err)
	}
}

// The metrics follow Prometheus's rules for names, units and help.
func TestLint(t *testing.T) {
	s := start(t, core.Config{Health: reporter{{"database", "pass"}}})
	s.get("/livez", "User-Agent", "kube-probe/1.31")
	problems, err := testutil.GatherAndLint(s.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// Each scrape under load adds up, and the last one counts every connection.
func TestAcceptedIsOpenPlusClosed(t *testing.T) {
	s := start(t, core.Config{})
	const workers, rounds = 6, 40
	var load sync.WaitGroup
	for range workers {
		load.Go(func() {
			for round := range rounds {
				switch round % 4 {
				case 0:
					_, _ = s.session().Vanish(probetest.FIN)
				case 1:
					s.get("/")
				case 2:
					s.get("/healthz")
				case 3:
					s.connect()
				}
			}
		})
	}
	over := make(chan struct{})
	go func() { load.Wait(); close(over) }()
	scrapes, busy := 0, 0
	for running := true; running; scrapes++ {
		select {
		case <-over:
			running = false
		default:
		}
		samples := s.scrape()
		accepted, open := samples["quietws_connections_accepted_total"], samples["quietws_connections_open"]
		if sum := closedSum(samples); accepted != open+sum {
			t.Fatalf("scrape %d: accepted %v, open %v, closed %v", scrapes, accepted, open, sum)
		}
		if open > 0 {
			busy++
		}
	}
	if busy < 10 {
		t.Errorf("only %d of %d scrapes saw an open connection", busy, scrapes)
	}
	samples := s.until("ended", allClosed)
	if accepted := samples["quietws_connections_accepted_total"]; accepted != workers*rounds {
		t.Errorf("accepted %v of %d connections", accepted, workers*rounds)
	}
}

// Every counter exists from the start, so that rate() sees the first count.
func TestEverythingStartsAtZero(t *testing.T) {
	guard, err := core.New(core.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, guard: guard, registry: prometheus.NewPedanticRegistry()}
	s.registry.MustRegister(prom.NewCollector(guard))
	samples := s.scrape()
	want := []string{
		"quietws_connections_accepted_total", "quietws_connections_open", "quietws_accept_errors_total",
		"quietws_sessions_open", "quietws_draining",
		`quietws_handshakes_total{reason="none",result="accepted"}`,
		`quietws_handshakes_total{reason="draining",result="refused"}`,
		`quietws_handshakes_total{reason="application",result="refused"}`,
		`quietws_handshakes_total{reason="server_error",result="failed"}`,
		`quietws_handshakes_total{reason="status_unknown",result="failed"}`,
		`quietws_drain_sessions_total{outcome="closed"}`,
		`quietws_drain_sessions_total{outcome="answered"}`,
		`quietws_drain_sessions_total{outcome="dropped"}`,
	}
	for _, class := range event.Classes() {
		want = append(want,
			fmt.Sprintf("quietws_connections_closed_total{class=%q}", class),
			fmt.Sprintf("quietws_log_lines_suppressed_total{class=%q}", class))
	}
	for _, sample := range want {
		if v, ok := samples[sample]; !ok || v != 0 {
			t.Errorf("%s: %v, present: %t; want 0", sample, v, ok)
		}
	}
	if samples["quietws_ready"] != 1 {
		t.Error("a guard without health checks is not ready")
	}
}

// The metric of the limit is absent without a limit, so that it can be divided by.
func TestSessionsLimit(t *testing.T) {
	for _, row := range []struct {
		limit int
		there bool
	}{{0, false}, {250, true}} {
		guard, err := core.New(core.Config{MaxSessions: row.limit})
		if err != nil {
			t.Fatal(err)
		}
		s := &server{t: t, registry: prometheus.NewPedanticRegistry()}
		s.registry.MustRegister(prom.NewCollector(guard))
		if v, there := s.scrape()["quietws_sessions_limit"]; there != row.there || v != float64(row.limit) {
			t.Errorf("MaxSessions %d: %v, present: %t", row.limit, v, there)
		}
	}
}

// reporter is an application's own Health.
type reporter []struct{ name, status string }

func (reporter) Answer(core.HealthQuery) (core.Answer, bool) { return core.Answer{}, false }

func (r reporter) Checks() (statuses []core.CheckStatus) {
	for _, c := range r {
		statuses = append(statuses, core.CheckStatus{Name: c.name, Status: c.status})
	}
	return statuses
}

func TestCheckStatus(t *testing.T) {
	for _, row := range []struct {
		rule   string
		checks reporter
		want   map[string]float64
	}{
		{"an unknown word is a failure", reporter{{"a", "PASS"}, {"b", ""}}, map[string]float64{"a": 0, "b": 0}},
		{"the worse of two with the same name counts", reporter{{"a", "pass"}, {"a", "fail"}, {"a", "warn"}}, map[string]float64{"a": 0}},
		{"a name that is not valid UTF-8 does not fail the scrape", reporter{{"a\xff", "pass"}}, map[string]float64{"a\uFFFD": 1}},
		{"nor do two names that differ only in invalid bytes", reporter{{"\xff", "pass"}, {"\xfe", "warn"}}, map[string]float64{"\uFFFD": 0.5}},
		{"pass is 1, warn 0.5, fail 0", reporter{{"a", "pass"}, {"b", "warn"}, {"c", "fail"}}, map[string]float64{"a": 1, "b": 0.5, "c": 0}},
	} {
		t.Run(row.rule, func(t *testing.T) {
			guard, err := core.New(core.Config{Health: row.checks})
			if err != nil {
				t.Fatal(err)
			}
			s := &server{t: t, registry: prometheus.NewPedanticRegistry()}
			s.registry.MustRegister(prom.NewCollector(guard))
			samples, n := s.scrape(), 0
			for sample := range samples {
				if strings.HasPrefix(sample, "quietws_health_check_status") {
					n++
				}
			}
			if n != len(row.want) {
				t.Errorf("%d checks, want %d", n, len(row.want))
			}
			for name, want := range row.want {
				sample := fmt.Sprintf("quietws_health_check_status{check=%q}", name)
				if got, ok := samples[sample]; !ok || got != want {
					t.Errorf("%s is %v, present: %t; want %v", sample, got, ok, want)
				}
			}
		})
	}
}

func ExampleNewCollector() {
	guard, err := core.New(core.Config{})
	if err != nil {
		panic(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(prom.NewCollector(guard))

	n, err := testutil.GatherAndCount(registry, "quietws_connections_closed_total")
	fmt.Println(n, "classes,", err)
	// Output: 16 classes, <nil>
}

// A nil guard has no metrics: a gauge at 0 would raise alerts.
func TestNilGuard(t *testing.T) {
	registry := prometheus.NewRegistry()
	if err := registry.Register(prom.NewCollector(nil)); err != nil {
		t.Fatal(err)
	}
	if all, err := registry.Gather(); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}

// panicking is a Health whose Checks panic.
type panicking struct{ reporter }

func (panicking) Checks() []core.CheckStatus { panic("checks") }

func TestScrapeWhereChecksPanic(t *testing.T) {
	s := start(t, core.Config{Health: panicking{}})
	for range 2 {
		if sample, ok := s.scrape()["quietws_ready"]; !ok || sample != 1 {
			t.Errorf("quietws_ready is %v", sample)
		}
	}
	s.stop()
}
