package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	grafana "github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/core/prom"
)

func TestRules(t *testing.T) {
	check(t, "promtool", "check", "config", "prometheus/prometheus.yml")
	check(t, "promtool", "test", "rules", "prometheus/rules_test.yml")
}

// Rules and dashboard name no metric that there is not.
func TestMetricNames(t *testing.T) {
	guard, err := core.New(core.Config{})
	if err != nil {
		t.Fatal(err)
	}
	descs := make(chan *prometheus.Desc, 100)
	prom.NewCollector(guard).Describe(descs)
	close(descs)
	known := make(map[string]bool)
	for d := range descs {
		known[find(t, d.String(), `fqName: "(\w+)"`)] = true
	}
	for _, file := range []string{"rules.yml", "rules_test.yml", "dashboard.json"} {
		names := regexp.MustCompile(`quietws_\w+`).FindAllString(read(t, "prometheus/"+file), -1)
		if len(names) == 0 {
			t.Errorf("%s names no metric", file)
		}
		for _, name := range names {
			if !known[name] {
				t.Errorf("%s: there is no %s", file, name)
			}
		}
	}
}

// expressions are those of the dashboard, which has to be one that Grafana
// reads: by its own types, strictly.
func expressions(t *testing.T) (all []string) {
	t.Helper()
	runtime := cog.NewRuntime()
	runtime.RegisterDataqueryVariant(grafana.VariantConfig())
	runtime.RegisterPanelcfgVariant(stat.VariantConfig())
	runtime.RegisterPanelcfgVariant(timeseries.VariantConfig())
	var board dashboard.Dashboard //nolint:staticcheck // the form with a schemaVersion, which every Grafana imports
	raw := []byte(read(t, "prometheus/dashboard.json"))
	var faults cog.BuildErrors // where there are none, what it returns is an empty list of them
	if err := board.UnmarshalJSONStrict(raw); err != nil && (!errors.As(err, &faults) || len(faults) > 0) {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &board); err != nil { // for then it has left out the panels
		t.Fatal(err)
	}
	if err := board.Validate(); err != nil {
		t.Error(err)
	}
	ids := make(map[uint32]bool)
	for _, p := range board.Panels {
		if ids[*p.Panel.Id] || *p.Panel.Title == "" || *p.Panel.Description == "" {
			t.Errorf("panel %d: another has its id, or it does not say what it shows", *p.Panel.Id)
		}
		ids[*p.Panel.Id] = true
		for _, target := range p.Panel.Targets {
			query, ok := target.(*grafana.Dataquery)
			if !ok {
				q, isValue := target.(grafana.Dataquery)
				if !isValue {
					t.Fatalf("panel %d asks by a %T", *p.Panel.Id, target)
				}
				query = &q
			}
			all = append(all, query.Expr)
		}
	}
	if len(all) < len(board.Panels) || len(all) == 0 {
		t.Errorf("%d panels ask for %d expressions", len(board.Panels), len(all))
	}
	return all
}

// prometheusServer is a Prometheus that runs.
type prometheusServer struct{ addr string }

// get asks its HTTP API.
func (p prometheusServer) get(path string, into any) error {
	res, err := http.Get("http://" + p.addr + path)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: into}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return errors.New(answer.Error)
	}
	return nil
}

// query returns how many series an expression has now.
func (p prometheusServer) query(expr string) (series int, err error) {
	var data struct{ Result []any }
	err = p.get("/api/v1/query?query="+url.QueryEscape(expr), &data)
	return len(data.Result), err
}

// firing are the alerts that fire.
func (p prometheusServer) firing(t *testing.T) (names []string) {
	t.Helper()
	var data struct {
		Alerts []struct {
			Labels map[string]string
			State  string
		}
	}
	if err := p.get("/api/v1/alerts", &data); err != nil {
		t.Fatal(err)
	}
	for _, a := range data.Alerts {
		if a.State == "firing" {
			names = append(names, a.Labels["alertname"])
		}
	}
	slices.Sort(names)
	return names
}

// A real Prometheus with the folder's configuration and rules, all times but
// the windows of rates shortened, scrapes a server: everything on the dashboard
// has something to show, and alerts fire for what is then done to it, and not
// before.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	s := startChat(t)
	dir, p := t.TempDir(), prometheusServer{freeAddr(t)}
	config := with(t, "prometheus/prometheus.yml", `"127.0.0.1:8081", "127.0.0.1:8082"`, `"`+s.addr+`"`, "15s", "1s")
	rules := regexp.MustCompile(`for: \d+m`).ReplaceAllString(with(t, "prometheus/rules.yml", "> 120", "> 4"), "for: 0s")
	write(t, dir, "rules.yml", rules)
	process := start(t, dir, "prometheus", "--config.file="+write(t, dir, "prometheus.yml", config),
		"--storage.tsdb.path=data", "--web.listen-address="+p.addr)
	process.listening(t, p.addr)
	await(t, "it is ready", func() bool {
		res, err := http.Get("http://" + p.addr + "/-/ready")
		if err != nil {
			return false
		}
		return res.Body.Close() == nil && res.StatusCode == http.StatusOK
	})
	has := func(expr string) {
		t.Helper()
		await(t, expr+" has something", func() bool {
			n, err := p.query(expr)
			if err != nil {
				t.Fatalf("%s: %v", expr, err)
			}
			return n > 0
		})
	}
	has(`count_over_time(quietws_ready[1m]) > 2 and on (instance) up == 1`)
	if names := p.firing(t); len(names) > 0 {
		t.Errorf("alerts fire before there is a reason: %v", names)
	}

	done := make(chan struct{})
	stopped := make(chan struct{})
	go func() { // a kubelet, sessions that end, and a proxy that strips the upgrade
		defer close(stopped)
		target := probetest.Target{Addr: s.addr}
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			_, _ = probetest.Do(context.Background(), target, probetest.Kubelet("/readyz"))
			_, _ = probetest.Handshake(context.Background(), target, probetest.NoUpgrade("/ws"))
			_, _ = probetest.Handshake(context.Background(), target, probetest.NoUpgrade("/ws"))
			if ws, err := dial(s.addr); err == nil {
				_ = ws.Close(1000, "")
			}
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	}()
	for _, expr := range expressions(t) {
		expr = strings.NewReplacer("$__rate_interval", "10s", "$job", ".*", "$instance", ".*").Replace(expr)
		// The example has no limit of sessions and no health checks.
		if !strings.Contains(expr, "quietws_sessions_limit") && !strings.Contains(expr, "quietws_health_check_status") {
			has(expr)
		} else if _, err := p.query(expr); err != nil {
			t.Errorf("%s: %v", expr, err)
		}
	}
	await(t, "QuietwsHandshakesFailing fires", func() bool { return slices.Equal(p.firing(t), []string{"QuietwsHandshakesFailing"}) })
	close(done)
	<-stopped
	await(t, "QuietwsProberGone fires too", func() bool {
		return slices.Equal(p.firing(t), []string{"QuietwsHandshakesFailing", "QuietwsProberGone"})
	})
}
