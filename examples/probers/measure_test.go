package main

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// What a row counted is a difference, without what was asked to find it out.
func TestSince(t *testing.T) {
	before := mark{closed: map[string]int{"http": 1, "tcp_probe": 2}, probes: map[string]int{"tcp_probe unknown": 2}, scrape: 2}
	for _, row := range []struct {
		rule  string
		after mark
		want  []string
	}{
		{"nothing", mark{closed: before.closed, probes: before.probes, scrape: 2}, nil},
		{"scrapes are not counted", mark{closed: map[string]int{"http": 3}, scrape: 4}, nil},
		{"requests are", mark{closed: map[string]int{"http": 4}, scrape: 4}, []string{"http"}},
		{"a probe has its prober", mark{closed: map[string]int{"tcp_probe": 4}, probes: map[string]int{"tcp_probe unknown": 2, "tcp_probe kubelet": 2, "tls_probe x": 1}, scrape: 2}, []string{"tcp_probe kubelet"}},
		{"in order", mark{closed: map[string]int{"session": 1, "handshake_refused": 1}, scrape: 2}, []string{"handshake_refused", "session"}},
	} {
		if got := row.after.since(before); !slices.Equal(got, row.want) {
			t.Errorf("%s: %q, want %q", row.rule, got, row.want)
		}
	}
}

func TestScrape(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("# HELP x y\nquietws_connections_open 3\n" +
			"quietws_connections_closed_total{class=\"http\"} 7\n" +
			"quietws_probes_total{class=\"http_probe\",outcome=\"ok\",prober=\"kubelet\"} 2\n" +
			"quietws_probes_total{class=\"http_probe\",outcome=\"failing\",prober=\"kubelet\"} 1\ngo_goroutines 9\n"))
	}))
	defer srv.Close()
	s := &server{addr: strings.TrimPrefix(srv.URL, "http://"), log: new(log)}
	m, err := s.scrape()
	if err != nil || m.open != 3 || m.closed["http"] != 7 || m.probes["http_probe kubelet"] != 3 || m.scrape != 1 {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestLines(t *testing.T) {
	s := &server{log: new(log)}
	_, _ = s.log.Write([]byte(`{"msg":"before"}` + "\n"))
	from := mark{logged: len(s.log.String())}
	_, _ = s.log.Write([]byte(`{"msg":"request","path":"/metrics"}
{"msg":"request","path":"/ws"}
{"level":"WARN","msg":"websocket handshake refused","proxy":"varnish"}
{"msg":"being wri`))
	own, access, err := s.lines(from)
	if err != nil || len(own) != 1 || own[0].Proxy != "varnish" || len(access) != 1 || access[0].Path != "/ws" {
		t.Errorf("%+v, %+v, %v", own, access, err)
	}
	_, _ = s.log.Write([]byte("\n"))
	if _, _, err := s.lines(from); err == nil {
		t.Error("a line that is no JSON is no error")
	}
}
