package core

import (
	"log"
	"net/netip"
	"strings"
	"sync"
)

// errorLog is what a server's ErrorLog writes to. It parses text for one purpose only: to
// find the connection that a line is about. A line about a watched connection is
// swallowed, because the facts decide what that connection was. Every other line goes on
// unchanged to the user's logger.
type errorLog struct {
	g    *Guard
	next *log.Logger // nil: the log package's own
}

// ErrorLog returns a logger for a server's ErrorLog, for servers that cannot use
// [Guard.Attach]. It swallows three kinds of line: a failed TLS handshake and an HTTP/2
// error on a connection that the guard watches, and a panic that the guard has logged.
// All other lines go on unchanged to next, or to the log package's standard logger if
// next is nil.
//
// It finds a connection by the address in net/http's text. If there is no address, as on
// a unix socket, a line is swallowed while a connection without an address is watched.
func (g *Guard) ErrorLog(next *log.Logger) *log.Logger {
	if g == nil {
		return next
	}
	if next != nil {
		if _, ours := next.Writer().(*errorLog); ours {
			return next
		}
	}
	return log.New(&errorLog{g: g, next: next}, "", 0)
}

// The beginnings of net/http's lines that name a connection, up to the address. A test
// starts real servers and checks that the lines still begin so.
const (
	lineTLS     = "http: TLS handshake error from "
	linePanic   = "http: panic serving "
	linePanicH2 = "http2: panic serving "
)

// Write implements io.Writer. A logger calls it once per line.
func (l *errorLog) Write(p []byte) (int, error) {
	line := string(p)
	if !l.ours(line) {
		if l.next != nil {
			_ = l.next.Output(4, line)
		} else {
			_ = log.Output(4, line)
		}
	}
	return len(p), nil
}

// ours reports whether the guard logs what line is about: a TLS handshake or an HTTP/2
// error of a watched connection, or a panic that a layer saw.
func (l *errorLog) ours(line string) bool {
	if rest, ok := strings.CutPrefix(line, lineTLS); ok {
		a := addrIn(rest)
		return a.IsValid() && l.g.watch.Conns.Find(a) != nil || !a.IsValid() && l.g.watch.Conns.AnyNameless()
	}
	if rest, ok := strings.CutPrefix(line, lineBrokenH2); ok {
		return l.g.brokenHTTP2(rest)
	}
	rest, ok := strings.CutPrefix(line, linePanic)
	if !ok {
		rest, ok = strings.CutPrefix(line, linePanicH2)
	}
	return ok && l.g.panics.take(addrIn(rest))
}

// loggedPanics holds the peers of the panics that the guard has logged, until the server
// has printed its own line for each. By then the connection may be gone.
type loggedPanics struct {
	mu       sync.Mutex
	ring     [64]netip.AddrPort
	next     int
	nameless int // panics of peers without an address
}

func (p *loggedPanics) add(a netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !a.IsValid() {
		p.nameless = min(p.nameless+1, len(p.ring))
		return
	}
	p.ring[p.next%len(p.ring)] = a
	p.next++
}

// take reports whether a panic of this peer was logged, once for each panic.
func (p *loggedPanics) take(a netip.AddrPort) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !a.IsValid() {
		some := p.nameless > 0
		p.nameless = max(p.nameless-1, 0)
		return some
	}
	for i := range p.ring {
		if p.ring[i] == a {
			p.ring[i] = netip.AddrPort{}
			return true
		}
	}
	return false
}

// addrIn parses the address at the start of s, which ends at ": ".
func addrIn(s string) netip.AddrPort {
	addr, _, ok := strings.Cut(s, ": ")
	if !ok {
		return netip.AddrPort{}
	}
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
