package core

import (
	"net/http"

	"github.com/quietws/quietws/core/internal/head"
)

// fallback is called when the status of an answer is known but not yet written, for a
// question about health where the application could not be asked before. It returns the
// answer to write instead if the application has no answer of its own, that is, for 401,
// 403, 404 or 405. On a path of Handler, it is called for a prober's method that Handler
// may not have: another route has it, unless the status is 404 or 405.
func (r Request) fallback(h Head, status int) (Answer, bool) {
	x := r.x
	if x == nil || !x.fallback {
		return Answer{}, false
	}
	x.fallback = false
	if x.route == NoRoute {
		if status != 404 && status != 405 {
			return Answer{}, false
		}
		x.verdict, x.answer = verdictProbe, x.g.answerProber()
		return *x.answer, true
	}
	switch status {
	case 401, 403, 404, 405:
	default:
		x.exact = true
	}
	if x.exact {
		return Answer{}, false
	}
	a := x.g.answerRoute(x.route, h, new(Answer))
	x.verdict, x.answer = verdictProbe, a
	return *a, true
}

// answerHeader is the header of an answer, such as an [http.Header].
type answerHeader interface{ Get(name string) string }

// answering looks at the application's answer when it is known but not yet sent.
func (x *exchange) answering(h Head, status int, header answerHeader) {
	if !x.opens(status) && !x.opened() {
		x.freeSlot()
	}
	switch status {
	case http.StatusUpgradeRequired:
		x.speaks = x.endpoint && !x.asks && h.Method() == "GET"
	case http.StatusBadRequest, http.StatusMethodNotAllowed: // gorilla and coder
		x.speaks = x.endpoint && !x.asks && h.Method() == "GET" &&
			(header.Get(head.FieldUpgrade) != "" || header.Get(head.FieldVersion) != "")
	case http.StatusServiceUnavailable:
		if x.credited && x.verdict == verdictPass && !x.exact {
			x.exact, _ = x.g.paths.owned(h, true)
			if h, ok := h.(httpHead); ok && patternPath(h.r.Pattern) == x.path { // the mux has matched exactly this path
				x.exact = true
			}
		}
	}
}
