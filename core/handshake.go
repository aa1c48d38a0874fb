package core

import (
	"encoding/base64"
	"math/rand/v2"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/head"
)

// checkHandshake applies RFC 6455 §4.2.1 to h. It returns the first fault in the order of
// the reasons, NoReason if a server can accept the handshake. inConnection says that the
// fault is in Connection rather than in Upgrade, for [faultyField].
func checkHandshake(h Head) (r event.Reason, inConnection bool) {
	upgrade := head.ListsToken(h.Field(head.FieldUpgrade), "websocket")
	connection := head.ListsToken(h.Field(head.FieldConnection), "upgrade")
	key := strings.Trim(h.Field(head.FieldKey), " \t") // fasthttp leaves a tab there
	http1 := head.IsHTTP1(h)
	switch {
	case http1 && key != "" && !upgrade:
		return event.ReasonUpgradeStripped, false
	case http1 && key != "" && !connection:
		return event.ReasonUpgradeStripped, true
	case !http1 && head.AsksToUpgrade(h):
		return event.ReasonHTTP2, false
	case h.Proto() == "HTTP/1.0" && upgrade:
		return event.ReasonHTTP10, false
	case h.Method() != "GET":
		return event.ReasonBadMethod, false
	case !upgrade:
		return event.ReasonNotUpgrade, false
	case !connection:
		return event.ReasonNotUpgrade, true
	case !head.ListsToken(h.Field(head.FieldVersion), "13"): // it may come twice, or in a list: libraries accept that
		return event.ReasonBadVersion, false
	case key == "":
		return event.ReasonMissingKey, false
	case strings.Contains(key, ","):
		return event.ReasonDuplicateKey, false
	case !isKey(key):
		return event.ReasonBadKey, false
	}
	return event.NoReason, false
}

// faultyField is the header field at fault for a reason, "" if there is none.
func faultyField(r event.Reason, connection bool) string {
	switch r {
	case event.ReasonUpgradeStripped, event.ReasonNotUpgrade:
		if connection {
			return head.FieldConnection
		}
		return head.FieldUpgrade
	case event.ReasonBadVersion:
		return head.FieldVersion
	case event.ReasonMissingKey, event.ReasonDuplicateKey, event.ReasonBadKey:
		return head.FieldKey
	case event.ReasonOriginForbidden:
		return head.FieldOrigin
	}
	return ""
}

// isKey reports whether s is 16 bytes in base64 (RFC 6455 §4.1 item 7).
func isKey(s string) bool {
	if len(s) != 24 {
		return false
	}
	var in [24]byte
	var out [18]byte
	copy(in[:], s)
	n, err := base64.StdEncoding.Decode(out[:], in[:])
	return err == nil && n == 16
}

// Origins decides which pages may open a session on a route of an adapter's Handler. A
// request without Origin does not come from a browser, and is always allowed (RFC 6455
// §4.2.1 item 7, §10.2). The zero Origins allows the pages of the request's own host,
// including its port.
type Origins struct {
	// Patterns allow more than the same host, in the syntax of [path.Match] and in any
	// letter case. A pattern with "://" in it is matched against scheme and host, any
	// other against the host alone. A pattern that path.Match cannot parse matches only
	// an equal text.
	Patterns []string
	// Only allows no pages except those that the patterns allow, not even pages of the
	// same host.
	Only bool
	// Any allows every page.
	Any bool
}

// allow reports whether a browser page of this origin may open a session on host: there
// is no Origin (not a browser, RFC 6455 §4.2.1 item 7), the host is the same, or a
// pattern matches. A pattern may also be the whole Origin, such as "null".
func (o *Origins) allow(origin, host string) bool {
	if origin == "" || o.Any {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	if !o.Only && sameHost(u, host) {
		return true
	}
	for _, p := range o.Patterns {
		target := u.Host
		if strings.Contains(p, "://") {
			target = u.Scheme + "://" + u.Host
		}
		if strings.EqualFold(p, target) || strings.EqualFold(p, origin) { // also one that is not a valid pattern: http://[::1]:8080
			return true
		}
		if ok, err := path.Match(strings.ToLower(p), strings.ToLower(target)); err == nil && ok {
			return true
		}
	}
	return false
}

// sameHost reports whether an Origin is that of host. Both may contain or omit the
// default port of the origin's scheme. Behind a proxy that terminates TLS, the scheme of
// the request itself is not known.
func sameHost(origin *url.URL, host string) bool {
	port := defaultPorts[origin.Scheme]
	return origin.Host != "" && strings.EqualFold(strings.TrimSuffix(origin.Host, port), strings.TrimSuffix(host, port))
}

var defaultPorts = map[string]string{"http": ":80", "https": ":443"}

// isForeign reports whether libraries take an origin for one of another host: they
// compare the ports without defaults. It explains their 403.
func isForeign(origin, host string) bool {
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || !strings.EqualFold(u.Host, host)
}

// refusal is the answer to a client for one reason: short, constant, and without anything
// that the client sent.
func refusal(r event.Reason) *Answer {
	if r == event.ReasonDraining || r == event.ReasonSaturated {
		return &unavailable[r-event.ReasonDraining][rand.IntN(retrySteps)]
	}
	if a := &refusals[r]; a.Status != 0 {
		return a
	}
	return &refusals[event.ReasonNotUpgrade]
}

// retrySteps is the number of values that Retry-After may have, so that refused clients
// do not all come back together.
const retrySteps = 8

var (
	unavailable = func() (all [2][retrySteps]Answer) {
		for i := range retrySteps {
			all[0][i] = textAnswer(503, "shutting down, try again\n", HeaderField{"Retry-After", []string{strconv.Itoa(1 + i)}},
				HeaderField{head.FieldConnection, []string{"close"}})
			all[1][i] = textAnswer(503, "too many sessions, try again later\n", HeaderField{"Retry-After", []string{strconv.Itoa(5 + 2*i)}})
		}
		return all
	}()
	upgradeFields = []HeaderField{{head.FieldUpgrade, []string{"websocket"}}, {head.FieldConnection, []string{"Upgrade"}}}
	refusals      = [reasonCount]Answer{
		event.ReasonUpgradeStripped: textAnswer(426, "a WebSocket handshake without its Upgrade header arrived here: a proxy on the way removed it\n", upgradeFields...),
		event.ReasonHTTP2:           textAnswer(501, "WebSocket is served over HTTP/1.1 here\n"),
		event.ReasonHTTP10:          textAnswer(426, "WebSocket needs HTTP/1.1\n", upgradeFields...),
		event.ReasonBadMethod:       textAnswer(405, "a WebSocket handshake is a GET\n", HeaderField{"Allow", []string{"GET"}}),
		event.ReasonNotUpgrade:      textAnswer(426, "this address speaks WebSocket; open it with a WebSocket client\n", upgradeFields...),
		event.ReasonBadVersion:      textAnswer(400, "WebSocket version 13 is served here\n", HeaderField{head.FieldVersion, []string{"13"}}),
		event.ReasonMissingKey:      textAnswer(400, "Sec-WebSocket-Key is missing\n"),
		event.ReasonDuplicateKey:    textAnswer(400, "more than one Sec-WebSocket-Key\n"),
		event.ReasonBadKey:          textAnswer(400, "Sec-WebSocket-Key is not base64 of 16 bytes\n"),
		event.ReasonOriginForbidden: textAnswer(403, "this Origin may not open a WebSocket here\n"),
	}
)

func textAnswer(status int, body string, more ...HeaderField) Answer {
	header := []HeaderField{
		{"Content-Type", []string{"text/plain; charset=utf-8"}},
		{"Content-Length", []string{strconv.Itoa(len(body))}},
		{"Cache-Control", []string{"no-store"}},
		{"X-Content-Type-Options", []string{"nosniff"}},
	}
	return Answer{Status: status, Header: append(header, more...), Body: body}
}
