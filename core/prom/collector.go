// Package prom exports the counters of a guard to Prometheus.
package prom

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
)

// noReason is the label "reason" of an accepted handshake. To Prometheus an empty label is
// the same as none.
const noReason = "none"

// NewCollector returns a collector of the counters of [core.Guard.Snapshot]. It takes one
// snapshot for each scrape, so that within a scrape this always holds:
//
//	quietws_connections_accepted_total =
//	    quietws_connections_open + sum(quietws_connections_closed_total)
//
// It is safe for concurrent scrapes. It may be registered before the server starts and
// remain after the guard is closed. All label values come from closed sets, the words of
// the core and the names of health checks, and never from a client.
//
//	quietws_connections_accepted_total           connections accepted; all metrics of connections need Attach, Listener or Serve
//	quietws_connections_open                     connections accepted and still open
//	quietws_connections_closed_total             connections ended, by class; every class is present from the start
//	quietws_probes_total                         by class, prober ("configured" for an unnamed one at an address of Config.ProbeSources, else "unknown") and outcome (ok, failing)
//	quietws_handshakes_total                     by result (accepted, refused, failed) and reason ("none" for accepted)
//	quietws_sessions_open                        WebSocket sessions that are open
//	quietws_sessions_limit                       how many may be open at once (Config.MaxSessions); absent without a limit
//	quietws_sessions_ended_total                 by end and code (of RFC 6455 §7.4, "other" or "unknown")
//	quietws_prober_last_seen_timestamp_seconds   Unix time, by prober; only for requests from a platform's address
//	quietws_log_lines_suppressed_total           lines kept quiet or collapsed, by class
//	quietws_health_check_status                  1 pass, 0.5 warn, 0 fail, by check
//	quietws_ready                                1 while /readyz answers 200, else 0
//	quietws_draining                             1 from the start of a drain, else 0
//	quietws_drain_sessions_total                 by outcome of the drain (answered a close frame, closed otherwise, dropped at its deadline)
//	quietws_accept_errors_total                  errors of Accept after which the listener waited and went on
//	quietws_build_info                           1, with the version of quietws
//
// A nil guard has no metrics. A process with two guards registers each with its own labels:
//
//	prometheus.WrapRegistererWith(prometheus.Labels{"guard": "public"}, registry).MustRegister(prom.NewCollector(public))
func NewCollector(g *core.Guard) prometheus.Collector {
	return &collector{guard: g, version: core.Version()}
}

type collector struct {
	guard   *core.Guard
	version string
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("quietws_"+name, help, labels, nil)
}

var (
	acceptedDesc     = desc("connections_accepted_total", "Connections accepted.")
	openDesc         = desc("connections_open", "Connections accepted and not yet ended.")
	closedDesc       = desc("connections_closed_total", "Connections that ended, by what they were.", "class")
	probesDesc       = desc("probes_total", "Probes, by kind, prober and whether they got a good answer.", "class", "prober", "outcome")
	handshakesDesc   = desc("handshakes_total", "WebSocket handshakes, by result and the reason of a refusal or failure.", "result", "reason")
	sessionsDesc     = desc("sessions_open", "WebSocket sessions that are open.")
	limitDesc        = desc("sessions_limit", "WebSocket sessions that may be open at once.")
	endedDesc        = desc("sessions_ended_total", "WebSocket sessions that ended, by how and with which close code.", "end", "code")
	lastSeenDesc     = desc("prober_last_seen_timestamp_seconds", "When a prober of the platform was last seen, in Unix time.", "prober")
	suppressedDesc   = desc("log_lines_suppressed_total", "Log lines kept quiet or collapsed into one, by class.", "class")
	checkDesc        = desc("health_check_status", "Health checks: 1 pass, 0.5 warn, 0 fail.", "check")
	readyDesc        = desc("ready", "1 while the server asks for traffic, else 0.")
	drainingDesc     = desc("draining", "1 from the start of a drain, else 0.")
	drainedDesc      = desc("drain_sessions_total", "WebSocket sessions by what became of them at the drain.", "outcome")
	acceptErrorsDesc = desc("accept_errors_total", "Errors of accepting connections that were waited out.")
	buildDesc        = desc("build_info", "1, labelled with the version of quietws.", "version")

	descs = [...]*prometheus.Desc{
		acceptedDesc, openDesc, closedDesc, probesDesc, handshakesDesc, sessionsDesc, limitDesc, endedDesc, lastSeenDesc,
		suppressedDesc, checkDesc, readyDesc, drainingDesc, drainedDesc, acceptErrorsDesc, buildDesc,
	}
)

func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range descs {
		out <- d
	}
}

func (c *collector) Collect(out chan<- prometheus.Metric) {
	if c.guard == nil { // a gauge at 0, such as ready, would raise alerts
		return
	}
	metric := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, t, v, labels...)
	}
	count := func(d *prometheus.Desc, n uint64, labels ...string) {
		metric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		metric(d, prometheus.GaugeValue, v, labels...)
	}

	s := c.guard.Snapshot()
	count(acceptedDesc, s.Accepted)
	gauge(openDesc, float64(s.Open))
	for _, class := range event.Classes() {
		count(closedDesc, s.Closed[class], class.String())
		count(suppressedDesc, s.Suppressed[class], class.String())
	}
	for _, p := range s.Probes {
		outcome := "ok"
		if p.Failing {
			outcome = "failing"
		}
		count(probesDesc, p.N, p.Class.String(), p.Prober, outcome)
	}
	for h, n := range handshakes(s.Handshakes) {
		count(handshakesDesc, n, h.result, h.reason)
	}
	gauge(sessionsDesc, float64(s.SessionsOpen))
	if s.SessionsLimit > 0 { // a division by a limit of 0 would raise alerts
		gauge(limitDesc, float64(s.SessionsLimit))
	}
	for _, e := range s.SessionsEnded {
		count(endedDesc, e.N, e.End, e.Code)
	}
	for prober, at := range s.LastSeen {
		gauge(lastSeenDesc, float64(at.UnixMilli())/1e3, prober)
	}
	for check, v := range checks(s.Checks) {
		gauge(checkDesc, v, check)
	}
	gauge(readyDesc, truth(s.Ready))
	gauge(drainingDesc, truth(s.Draining))
	for outcome, n := range s.Drained {
		count(drainedDesc, n, outcome)
	}
	count(acceptErrorsDesc, s.AcceptErrors)
	gauge(buildDesc, 1, c.version)
}

type handshake struct{ result, reason string }

// handshakes returns the counted handshakes, and the other results with 0: rate() misses
// the first count of a series that did not exist before, and the first refusal matters
// most.
func handshakes(counted []core.HandshakeCount) map[handshake]uint64 {
	all := map[handshake]uint64{{"accepted", noReason}: 0}
	for r := event.ReasonDraining; r <= event.ReasonApplication; r++ {
		all[handshake{"refused", r.String()}] = 0
	}
	for r := event.ReasonServerError; r <= event.ReasonStatusUnknown; r++ {
		all[handshake{"failed", r.String()}] = 0
	}
	for _, h := range counted {
		reason := h.Reason.String()
		if h.Reason == event.NoReason {
			reason = noReason
		}
		all[handshake{h.Result, reason}] += h.N
	}
	return all
}

// checks returns the value of each check. The application's own [core.Health] may use a
// name twice, or one that is not valid UTF-8; either would fail the scrape. The worse of
// two values counts, and an unknown word is a failure.
func checks(statuses []core.CheckStatus) map[string]float64 {
	values := make(map[string]float64, len(statuses))
	for _, s := range statuses {
		v := map[string]float64{"pass": 1, "warn": 0.5}[s.Status]
		name := strings.ToValidUTF8(s.Name, "\uFFFD")
		if worse, twice := values[name]; !twice || v < worse {
			values[name] = v
		}
	}
	return values
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
