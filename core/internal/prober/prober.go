// Package prober knows who probes: by the head of a request, by the address of a
// connection. To add one: its name, and its rows in the tables of table.go.
package prober

import (
	"net/netip"
	"strings"

	"github.com/quietws/quietws/core/internal/head"
)

// Prober is one of the known probers of the table, 0 for none. What it names
// is a claim where it comes from a request; see [event.Event.Prober].
type Prober uint8

// String returns the name of p, the metric label "prober", "" for none.
func (p Prober) String() string {
	if p < Count {
		return words[p]
	}
	return ""
}

// Names returns the name of every known prober, sorted, without that for what
// core.Config.ProbeSources names.
func Names() []string {
	return append([]string(nil), words[None+1:Configured]...)
}

const (
	fieldUserAgent = "User-Agent"

	// maxAgent is how much of a User-Agent is looked at, in bytes. The longest
	// that a known prober sends is under 200.
	maxAgent = 512
)

var (
	// agentsByFirst has the exact and prefix rows of agents by their
	// first byte: for nearly every request that is the one look-up to make.
	agentsByFirst [256][]agent
	// agentsInside has the rows that may match anywhere.
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

// ByHead returns the prober that a request says it comes from, by its
// User-Agent or else by a header field that only that prober sends. It runs on
// every request: a browser's pays for no further field, one without a
// User-Agent for one, any other for two or three. It allocates nothing.
func ByHead(h head.Head) Prober {
	agent := h.Field(fieldUserAgent)
	if agent == "" {
		if h.Method() == "OPTIONS" && h.Path() == "/" && h.Proto() == "HTTP/1.0" && h.Host() == "" {
			return HAProxy // its "option httpchk" as it comes
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

// looksLikeBrowser reports whether there is nothing to find inside agent.
// Probers that dress as a browser say "compatible" where the browser names the
// system it runs on, or append or prepend their name; a browser ends in the
// digits of a version.
func looksLikeBrowser(agent string) bool {
	const mozilla = "Mozilla/5.0 ("
	last := agent[len(agent)-1]
	return '0' <= last && last <= '9' &&
		strings.HasPrefix(agent, mozilla) && !strings.HasPrefix(agent[len(mozilla):], "compatible")
}

func byField(h head.Head, fields []field) Prober {
	var name, value string
	for i := range fields {
		f := &fields[i]
		if f.name != name { // rows of one field stand together
			name, value = f.name, h.Field(f.name)
		}
		if value != "" && strings.HasPrefix(value, f.prefix) {
			return f.who
		}
	}
	return None
}

// ByAddr returns the prober to which alone the range of a belongs: what
// there is to go by for a connection that says nothing.
func ByAddr(a netip.Addr) Prober {
	a = Plain(a)
	for i := range ranges {
		if r := &ranges[i]; !r.shared && r.prefix.Contains(a) {
			return r.who
		}
	}
	return None
}

// InOwnRange reports whether a lies in a fixed range of p's, shared or not. It
// is what makes the claim of a request from the internet credible.
func (p Prober) InOwnRange(a netip.Addr) bool {
	a = Plain(a)
	for i := range ranges {
		if r := &ranges[i]; r.who == p && r.prefix.Contains(a) {
			return true
		}
	}
	return false
}

// sharedSpace is where carriers and clouds put what is theirs (RFC 6598).
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// IsPlatform reports whether a platform's prober may have the address a:
// loopback, private (RFC 1918, RFC 4193), link-local, shared (RFC 6598), or a
// fixed range of the table.
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

// Plain undoes what a dual-stack socket adds to an address; a prefix
// contains neither an address in IPv6 clothes nor one with a zone.
func Plain(a netip.Addr) netip.Addr {
	return a.Unmap().WithZone("")
}

// Contains reports whether one of prefixes has a, whatever a socket has added to it.
func Contains(prefixes []netip.Prefix, a netip.Addr) bool {
	a = Plain(a)
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
