package core

import (
	"net/netip"
	"strings"
)

// prober is one of the known probers of the table, 0 for none. What it names
// is a claim where it comes from a request; see [event.Event.Prober].
type prober uint8

// String returns the name of p, the metric label "prober", "" for none.
func (p prober) String() string {
	if p < probers {
		return proberNames[p]
	}
	return ""
}

// names returns the name of every known prober, sorted, without that for what
// core.Config.ProbeSources names.
func names() []string {
	return append([]string(nil), proberNames[noProber+1:proberConfigured]...)
}

const (
	fieldUserAgent = "User-Agent"

	// maxAgent is how much of a User-Agent is looked at, in bytes. The longest
	// that a known prober sends is under 200.
	maxAgent = 512
)

var (
	// agentsByFirst has the exact and prefix rows of proberAgents by their
	// first byte: for nearly every request that is the one look-up to make.
	agentsByFirst [256][]proberAgent
	// agentsInside has the rows that may match anywhere.
	agentsInside []proberAgent
)

func init() {
	for _, a := range proberAgents {
		if a.match == agentContains || a.match == agentSuffix {
			agentsInside = append(agentsInside, a)
			continue
		}
		agentsByFirst[a.value[0]] = append(agentsByFirst[a.value[0]], a)
	}
}

// proberByHead returns the prober that a request says it comes from, by its
// User-Agent or else by a header field that only that prober sends. It runs on
// every request: a browser's pays for no further field, one without a
// User-Agent for one, any other for two or three. It allocates nothing.
func proberByHead(h head) prober {
	agent := h.Field(fieldUserAgent)
	if agent == "" {
		if h.Method() == "OPTIONS" && h.Path() == "/" && h.Proto() == "HTTP/1.0" && h.Host() == "" {
			return proberHAProxy // its "option httpchk" as it comes
		}
		return proberByField(h, fieldsNoAgent)
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
		return noProber
	case strings.HasPrefix(agent, "Go-http-client/"):
		return proberByField(h, fieldsGoAgent)
	}
	for i := range agentsInside {
		a := &agentsInside[i]
		if a.match == agentContains && strings.Contains(agent, a.value) ||
			a.match == agentSuffix && !cut && strings.HasSuffix(agent, a.value) {
			return a.who
		}
	}
	return proberByField(h, fieldsOtherAgent)
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

func proberByField(h head, fields []proberField) prober {
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
	return noProber
}

// proberByAddr returns the prober to which alone the range of a belongs: what
// there is to go by for a connection that says nothing.
func proberByAddr(a netip.Addr) prober {
	a = plainAddr(a)
	for i := range proberRanges {
		if r := &proberRanges[i]; !r.shared && r.prefix.Contains(a) {
			return r.who
		}
	}
	return noProber
}

// inOwnRange reports whether a lies in a fixed range of p's, shared or not. It
// is what makes the claim of a request from the internet credible.
func (p prober) inOwnRange(a netip.Addr) bool {
	a = plainAddr(a)
	for i := range proberRanges {
		if r := &proberRanges[i]; r.who == p && r.prefix.Contains(a) {
			return true
		}
	}
	return false
}

// sharedSpace is where carriers and clouds put what is theirs (RFC 6598).
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// platformAddr reports whether a platform's prober may have the address a:
// loopback, private (RFC 1918, RFC 4193), link-local, shared (RFC 6598), or a
// fixed range of the table.
func platformAddr(a netip.Addr) bool {
	a = plainAddr(a)
	if a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || sharedSpace.Contains(a) {
		return true
	}
	for i := range proberRanges {
		if proberRanges[i].prefix.Contains(a) {
			return true
		}
	}
	return false
}

// plainAddr undoes what a dual-stack socket adds to an address; a prefix
// contains neither an address in IPv6 clothes nor one with a zone.
func plainAddr(a netip.Addr) netip.Addr {
	return a.Unmap().WithZone("")
}

// contains reports whether one of prefixes has a, whatever a socket has added to it.
func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	a = plainAddr(a)
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
