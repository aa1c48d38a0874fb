// Package prober recognizes probers: by the head of a request ([ByHead]), or by the
// address of a connection ([ByAddr]).
//
// To add a prober, add its constant, its name and its rows in the tables of table.go, a
// form that it really sends in table_test.go, and the place where its path is set in
// probePaths of core/internal/remedy. What counts as a probe, and how it is answered,
// package core decides.
package prober

import (
	"net/netip"
	"strings"

	"github.com/quietws/quietws/core/internal/head"
)

// Prober is a known prober of the table, 0 for none. If it comes from a request it is only
// a claim; see event.Event.Prober.
type Prober uint8

// String returns the name of p, which is the metric label "prober", "" for none.
func (p Prober) String() string {
	if p < Count {
		return words[p]
	}
	return ""
}

// Names returns the name of every known prober, sorted, without "configured". The slice
// is the caller's.
func Names() []string {
	return append([]string(nil), words[None+1:Configured]...)
}

const (
	fieldUserAgent = "User-Agent"

	// maxAgent is how many bytes of a User-Agent are read. The longest one of a
	// known prober is under 200.
	maxAgent = 512
)

var (
	// agentsByFirst has the exact and prefix rows of agents by their first byte.
	// Nearly every request needs only this look-up.
	agentsByFirst [256][]agent
	// agentsInside has the rows that may match inside or at the end.
	agentsInside []agent
)

func init() {
	for _, a := range agents {
		if a.match == agentContains || a.match == agentSuffix {
			agentsInside = append(agentsInside, a)
			continue
		}
		agentsByFirst[a.value[0]] = append(agentsByFirst[a.value[0]], a)
	}
}

// ByHead returns the prober that a request claims to come from: by its User-Agent, or else
// by a header field that only this prober sends. It runs on every request. It reads the
// User-Agent; for a browser no other field, without a User-Agent one more, and otherwise
// two more. It allocates nothing.
func ByHead(h head.Head) Prober {
	agent := h.Field(fieldUserAgent)
	if agent == "" {
		if h.Method() == "OPTIONS" && h.Path() == "/" && h.Proto() == "HTTP/1.0" && h.Host() == "" {
			return HAProxy // its "option httpchk" without any setting
		}
		return byField(h, fieldsNoAgent)
	}
	browser := looksLikeBrowser(agent)
	cut := len(agent) > maxAgent
	if cut {
		agent = agent[:maxAgent]
	}
	rows := agentsByFirst[agent[0]]
	for i := range rows {
		a := &rows[i]
		if agent == a.value || a.match == agentPrefix && strings.HasPrefix(agent, a.value) {
			return a.who
		}
	}
	switch {
	case browser:
		return None
	case strings.HasPrefix(agent, "Go-http-client/"):
		return byField(h, fieldsGoAgent)
	}
	for i := range agentsInside {
		a := &agentsInside[i]
		if a.match == agentContains && strings.Contains(agent, a.value) ||
			a.match == agentSuffix && !cut && strings.HasSuffix(agent, a.value) {
			return a.who
		}
	}
	return byField(h, fieldsOtherAgent)
}

// looksLikeBrowser reports whether agent is a browser's, so that there is no need to
// search inside it. A browser names its system in the parentheses and ends in the digits
// of a version. Probers that imitate a browser say "compatible" in the parentheses, or
// put their name before or after the rest.
func looksLikeBrowser(agent string) bool {
	const mozilla = "Mozilla/5.0 ("
	last := agent[len(agent)-1]
	return '0' <= last && last <= '9' &&
		strings.HasPrefix(agent, mozilla) && !strings.HasPrefix(agent[len(mozilla):], "compatible")
}

// byField returns the prober of the first row that h has.
func byField(h head.Head, fields []field) Prober {
	var name, value string
	for i := range fields {
		f := &fields[i]
		if f.name != name { // rows of one field are adjacent
			name, value = f.name, h.Field(f.name)
		}
		if value != "" && strings.HasPrefix(value, f.prefix) {
			return f.who
		}
	}
	return None
}

// ByAddr returns the prober that alone uses the range of a. For a connection without a
// request nothing else is known.
func ByAddr(a netip.Addr) Prober {
	a = Plain(a)
	for i := range ranges {
		if r := &ranges[i]; !r.shared && r.prefix.Contains(a) {
			return r.who
		}
	}
	return None
}

// InOwnRange reports whether a is in a fixed range of p, shared or not. Then the claim of
// a request from the internet is credible.
func (p Prober) InOwnRange(a netip.Addr) bool {
	a = Plain(a)
	for i := range ranges {
		if r := &ranges[i]; r.who == p && r.prefix.Contains(a) {
			return true
		}
	}
	return false
}

// sharedSpace is the range that carriers and clouds use inside (RFC 6598).
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// IsPlatform reports whether a may be the address of a platform's prober: loopback,
// private (RFC 1918, RFC 4193), link-local, shared (RFC 6598), or in a fixed range of the
// table.
func IsPlatform(a netip.Addr) bool {
	a = Plain(a)
	if a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || sharedSpace.Contains(a) {
		return true
	}
	for i := range ranges {
		if ranges[i].prefix.Contains(a) {
			return true
		}
	}
	return false
}

// Plain removes what a dual-stack socket adds to an address. A prefix does not contain an
// IPv4 address that is written as IPv6, nor an address with a zone.
func Plain(a netip.Addr) netip.Addr {
	return a.Unmap().WithZone("")
}

// Contains reports whether one of prefixes contains the plain form of a.
func Contains(prefixes []netip.Prefix, a netip.Addr) bool {
	a = Plain(a)
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
