package kit

import (
	"bytes"
	"strings"

	"github.com/quietws/quietws/core/internal/head"
)

// Header is the header of a request, as all versions of fasthttp have it.
type Header interface {
	IsHTTP11() bool
	ConnectionClose() bool
	UserAgent() []byte
	Peek(name string) []byte
	PeekAll(name string) [][]byte
	Set(name, value string)
	VisitAll(f func(name, value []byte))
}

// Field returns a field of h as core.Head.Field does: its lines joined, "" if there is
// none. A single line is returned as text of it, which need not copy.
func Field(h Header, name string, text func(line []byte) string) string {
	switch {
	case name == "User-Agent": // fasthttp keeps only one line of it, separately
		return text(h.UserAgent())
	case name == "Connection" && h.ConnectionClose(): // PeekAll then returns only "close"
		return joinField(name, h.VisitAll)
	}
	return joinLines(h.PeekAll(name), text)
}

func joinLines(lines [][]byte, text func(line []byte) string) string {
	switch len(lines) {
	case 0:
		return ""
	case 1:
		return text(lines[0])
	}
	return string(bytes.Join(lines, []byte(", ")))
}

// joinField returns the lines of a field, joined, with its name in any letter case. It
// copies every line, and so is for rare fields.
func joinField(name string, visit func(f func(name, value []byte))) string {
	var lines [][]byte
	visit(func(n, value []byte) {
		if strings.EqualFold(string(n), name) {
			lines = append(lines, bytes.Clone(value))
		}
	})
	return joinLines(lines, func(line []byte) string { return string(line) })
}

// Received returns a HeaderReceived hook, which runs when a head has been read, around
// next, which may be nil. If any line of Connection, or the last, is "close", fasthttp
// does not run a hijack. The hook removes the "close" from a request with an Upgrade.
func Received[H Header, C any](next func(H) C) func(H) C {
	return func(h H) (config C) {
		if h.IsHTTP11() && h.ConnectionClose() && len(h.Peek("Upgrade")) > 0 {
			h.Set("Connection", onlyUpgrade(joinField("Connection", h.VisitAll)))
		}
		if next != nil {
			config = next(h)
		}
		return config
	}
}

// onlyUpgrade returns "Upgrade" if connection, the joined lines of the field, lists it,
// and else connection unchanged.
func onlyUpgrade(connection string) string {
	if head.ListsToken(connection, "upgrade") {
		return "Upgrade"
	}
	return connection
}
