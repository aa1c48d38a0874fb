// Package prom shows a guard's counters to Prometheus.
package prom

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
)

// noReason is the label "reason" where there is none to give, as for a
// handshake that was accepted. An empty label would be no label at all to
// Prometheus.
const noReason = "none"

// NewCollector returns a collector of what [core.Guard.Snapshot] counts. It
// reads one snapshot for each scrape and keeps nothing itself, so that within
// a scrape
//
//	quietws_connections_accepted_total =
//	    quietws_connections_open + sum(quietws_connections_closed_total)
//
// always holds. It is safe for concurrent scrapes, and may be registered before
// the server starts and stay when the guard is closed. All label values are of
// closed sets: words of the core and the names of health checks, never what a
// client sent.
//
//	quietws_connections_accepted_total           connections accepted; needs Attach, Listener or Serve, as all of connections
//	quietws_connections_open                     those of them that are open
//	quietws_connections_closed_total             those that ended, by class; every class is there from the start
//	quietws_probes_total                         by class, prober ("configured" for a nameless one at an address of Config.ProbeSources, else "unknown") and outcome (ok, failing)
//	quietws_handshakes_total                     by result (accepted, refused, failed) and reason ("none" for accepted)
//	quietws_sessions_open                        WebSocket sessions
//	quietws_sessions_limit                       how many may be open at once (Config.MaxSessions); not there without a limit
//	quietws_sessions_ended_total                 by end and code (of RFC 6455 §7.4, "other" or "unknown")
//	quietws_prober_last_seen_timestamp_seconds   Unix time, by prober; only from a platform's address
//	quietws_log_lines_suppressed_total           lines kept quiet or collapsed, by class
//	quietws_health_check_status                  1 pass, 0.5 warn, 0 fail, by check
//	quietws_ready                                1 while /readyz answers 200, else 0
//	quietws_draining                             1 from the start of a drain, else 0
//	quietws_drain_sessions_total                 by outcome of the drain (answered a close frame, closed otherwise, dropped at its deadline)
//	quietws_accept_errors_total                  errors of Accept that were waited out
//	quietws_build_info                           1, with the version of quietws
//
// A nil guard has no metrics. A process with two guards registers each under labels of its own:
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
	if c.guard == nil { // a gauge at 0, as of readiness, would ring alerts
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
	if s.SessionsLimit > 0 { // what is divided by a limit of 0 is over any share of it
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

// handshakes returns what was counted, and the results that can be at 0: rate()
// does not see the step of a series from nothing to 1, and the first refusal is
// the one to be told of.
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

// checks returns the value of each check. A [core.Health] of the application's
// may name two alike, or one in bytes that are no text: either would fail the
// whole scrape. The worse of two counts, and a word that is none of the three
// is a failure.
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
