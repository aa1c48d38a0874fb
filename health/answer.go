package health

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/quietws/quietws/core"
)

// Answer answers a health route from the last snapshot. It runs no check, never waits, and
// allocates only for details. It returns false for a query without a route.
func (c *Checker) Answer(q core.HealthQuery) (core.Answer, bool) {
	if q.Route == core.NoRoute || q.Route >= routes {
		return core.Answer{}, false
	}
	s := c.snap.Load()
	status := s.routes[q.Route]
	var asked query
	if raw := q.Head.Query(); raw != "" {
		asked = s.parse(raw)
		if asked.excludes && q.Details {
			status = s.status(q.Route, &asked.skip)
		}
	}
	say := phraseFor(q.Route, status, q.Draining)
	switch {
	case !asked.verbose && !acceptsJSON(q.Head.Field("Accept")):
		return plain[say], true
	case !q.Details:
		return brief[say], true
	}
	return s.report(q.Route, say, &asked), true
}

// phrase is the short form of an answer.
type phrase uint8

const (
	sayOK phrase = iota
	sayWarn
	sayStarting
	sayNotReady
	sayNotLive
	sayDraining
	phrases
)

// phraseText has the body of each phrase. A warning is "ok" like a pass, so that a prober
// that compares the body does not take a warning for a failure.
var phraseText = [phrases]string{"ok", "ok", "starting", "not ready", "not live", "draining"}

func (p phrase) status() Status { return [phrases]Status{Pass, Warn, Fail, Fail, Fail, Fail}[p] }

func (p phrase) code() int {
	if p.status() == Fail {
		return 503
	}
	return 200
}

// output is the explanation that the health+json draft requires for a status other than
// pass.
func (p phrase) output() string {
	switch p {
	case sayOK:
		return ""
	case sayWarn:
		return "an optional check fails"
	}
	return phraseText[p]
}

func phraseFor(r core.Route, s Status, draining bool) phrase {
	switch {
	case draining && (r == core.RouteReady || r == core.RouteHealth):
		return sayDraining
	case s == Pass:
		return sayOK
	case s == Warn:
		return sayWarn
	case s == Pending || r == core.RouteStartup:
		return sayStarting
	case r == core.RouteLive:
		return sayNotLive
	}
	return sayNotReady
}

const (
	typeText = "text/plain; charset=utf-8"
	typeJSON = "application/health+json"
)

// plain and brief have all answers without details.
var plain, brief = func() (plain, brief [phrases]core.Answer) {
	for p := range phrases {
		plain[p] = answer(p.code(), typeText, phraseText[p]+"\n")
		brief[p] = answer(p.code(), typeJSON, string(opening(p))+"}\n")
	}
	return plain, brief
}()

var fixedFields = []core.HeaderField{
	{Name: "Cache-Control", Values: []string{"no-store"}},
	{Name: "X-Content-Type-Options", Values: []string{"nosniff"}},
}

func answer(code int, contentType, body string) core.Answer {
	return core.Answer{Status: code, Body: body, Header: append([]core.HeaderField{
		{Name: "Content-Type", Values: []string{contentType}},
		{Name: "Content-Length", Values: []string{strconv.Itoa(len(body))}},
	}, fixedFields...)}
}

// query is the parsed query of a request.
type query struct {
	verbose bool
	// excludes: skip is not empty.
	excludes bool
	skip     set
	// unknown: it excludes a name that no check has.
	unknown bool
}

// parse reads ?verbose and ?exclude=name, as in the Kubernetes API server, and ignores the
// rest. Names need no escaping, so a usual query is read without allocating.
func (s *snapshot) parse(raw string) (q query) {
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		key, value, _ := strings.Cut(pair, "=")
		switch key {
		case "verbose":
			q.verbose = true
		case "exclude":
			if strings.Contains(value, "%") {
				// An invalid escape leaves "", which no check is called.
				value, _ = url.QueryUnescape(value)
			}
			i, ok := slices.BinarySearchFunc(s.checks, value, byName)
			if !ok {
				q.unknown = true
				continue
			}
			q.excludes = true
			q.skip.add(i)
		}
	}
	return q
}

// acceptsJSON reports whether accept, the value of an Accept field (RFC 9110
// §12.5.1), names application/health+json with a weight other than 0. A wildcard does
// not count: it gets the short answer.
func acceptsJSON(accept string) bool {
	for len(accept) >= len(typeJSON) {
		var item string
		item, accept, _ = strings.Cut(accept, ",")
		kind, params, _ := strings.Cut(item, ";")
		if strings.EqualFold(strings.Trim(kind, " \t"), typeJSON) {
			return !refused(params)
		}
	}
	return false
}

// refused reports whether the weight in params is 0.
func refused(params string) bool {
	for params != "" {
		var param string
		param, params, _ = strings.Cut(params, ";")
		name, value, _ := strings.Cut(strings.Trim(param, " \t"), "=")
		if strings.EqualFold(name, "q") {
			return strings.HasPrefix(value, "0") && strings.Trim(value, "0.") == ""
		}
	}
	return false
}
