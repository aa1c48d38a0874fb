package journal

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/usererror"
)

// maxStack is how much of a stack trace is logged.
const maxStack = 8 << 10

// lineAttrs returns what a line says about one event. Failures always have a status,
// probes a prober, and sessions how they ended.
func lineAttrs(e *event.Event) []slog.Attr {
	to := make([]slog.Attr, 0, 16)
	to = append(to, slog.String("class", e.Class.String()))
	if e.Reason != event.NoReason {
		to = append(to, slog.String("reason", e.Reason.String()))
	}
	to = append(to, slog.String("remote", remoteWord(e.Remote)))
	switch {
	case e.Client.IsValid():
		to = append(to, slog.String("client", Word(e.Client.String())))
	case e.Forwarded != "":
		to = append(to, slog.String("forwarded", Word(e.Forwarded)))
	}
	if e.Prober != "" || e.Class.Probe() {
		to = append(to, slog.String("prober", pair{prober: e.Prober}.word()))
	}
	if e.Proxy != "" {
		to = append(to, slog.String("proxy", Word(e.Proxy)))
	}
	if e.Method != "" {
		to = append(to, slog.String("method", Word(e.Method)))
	}
	if e.Path != "" {
		to = append(to, slog.String("path", Word(e.Path)))
	}
	if e.Class == event.SessionEnded || e.Class == event.Hijacked {
		return append(to, sessionAttrs(e)...)
	}
	if e.Status != 0 || !e.Class.Probe() {
		to = append(to, slog.Int("status", e.Status))
	}
	if e.Session.Duration > 0 {
		to = append(to, slog.Duration("duration", e.Session.Duration))
	}
	if h, ok := e.Err.(*event.HandshakeError); ok && h != nil { // the line has its reason already
		if h.Field != "" {
			to = append(to, slog.String("field", h.Field))
		}
		if h.Origin != "" {
			to = append(to, slog.String("origin", Word(h.Origin)), slog.String("host", Word(h.Host)))
		}
	} else if e.Err != nil {
		to = append(to, slog.String("error", Text(usererror.Text(e.Err))))
	}
	if e.Panic != nil {
		to = append(to, slog.String("panic", PanicText(e.Panic)))
	}
	if len(e.Stack) > 0 {
		to = append(to, slog.String("stack", stackText(e.Stack)))
	}
	if e.Remedy != "" {
		to = append(to, slog.String("remedy", e.Remedy))
	}
	return to
}

// sessionAttrs says how a connection that left HTTP ended. A code of 0 means that it is
// not known. The bytes are those of the transport.
func sessionAttrs(e *event.Event) (to []slog.Attr) {
	if e.Class == event.SessionEnded {
		end := e.Session.End
		if end == "" {
			end = "ended"
		}
		to = append(to, slog.String("end", end), slog.Int("code", e.Session.Code))
	}
	to = append(to, slog.Duration("duration", e.Session.Duration),
		slog.Int64("bytes_in", e.Session.BytesIn), slog.Int64("bytes_out", e.Session.BytesOut))
	if e.Err != nil {
		to = append(to, slog.String("error", Text(usererror.Text(e.Err))))
	}
	return to
}

// sample describes one repeat in one line: the peer, the request and its outcome.
func sample(e *event.Event) string {
	var b strings.Builder
	b.WriteString(remoteWord(e.Remote))
	if e.Client.IsValid() {
		b.WriteString(" for " + Word(e.Client.String()))
	}
	if e.Method != "" {
		b.WriteString(" " + Word(e.Method))
	}
	if e.Path != "" {
		b.WriteString(" " + Word(e.Path))
	}
	if e.Status != 0 {
		b.WriteString(" " + strconv.Itoa(e.Status))
	}
	if e.Panic != nil {
		b.WriteString(": " + PanicText(e.Panic))
	} else if h, _ := e.Err.(*event.HandshakeError); e.Err != nil && h == nil { // the line has its reason already
		b.WriteString(": " + Text(usererror.Text(e.Err)))
	}
	return b.String()
}

func remoteWord(a netip.AddrPort) string {
	if !a.IsValid() {
		return "unknown"
	}
	return Word(netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).String())
}

// PanicText returns what user code panicked with, as text for a line.
func PanicText(p any) string { return Text(usererror.ValueText(p)) }

// stackText cuts a stack trace and replaces what is not printable. It keeps newlines and
// tabs, because a trace is unreadable on one line.
func stackText(stack []byte) string {
	cut := ""
	if len(stack) > maxStack {
		stack, cut = stack[:maxStack], "\n..."
	}
	clean := bytes.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r != utf8.RuneError && strconv.IsPrint(r) {
			return r
		}
		return '?'
	}, stack)
	return string(clean) + cut
}
