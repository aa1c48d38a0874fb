package core

import (
	"github.com/quietws/quietws/core/internal/prober"
	"github.com/quietws/quietws/core/internal/remedy"
)

// Probers returns the name of every known prober, sorted: the values that
// [event.Event.Prober] and the metric label "prober" can have, beside "configured" for
// a nameless one at an address of [Config.ProbeSources]; the label is "unknown"
// where there is none. The slice is the caller's.
func Probers() []string {
	return prober.Names()
}

// Proxies returns the name of every proxy that is told by its traces, sorted:
// the values that [event.Event.Proxy] can have. nginx and HAProxy leave no traces and are
// not among them. The slice is the caller's.
func Proxies() []string {
	return remedy.Proxies()
}
