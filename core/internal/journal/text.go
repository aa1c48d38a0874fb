package journal

import (
	"strconv"
	"unicode/utf8"
)

// MaxText is how many bytes one attribute may have if a peer could influence it. Quotes
// and escapes count.
const MaxText = 200

// Word makes s safe as the value of an attribute, whatever s contains and whatever the
// handler does with it: at most [MaxText] bytes, all printable. Harmless text stays as
// it is. Text with a space, an equals sign, a quote, a backslash or a byte that is not
// printable ASCII is quoted as a Go string, so that it cannot look like another
// attribute or another line. Three dots after the closing quote mean that it was cut.
func Word(s string) string { return logQuote(s, false) }

// Text is Word for prose: spaces and equals signs are harmless there.
func Text(s string) string { return logQuote(s, true) }

func logQuote(s string, prose bool) string {
	if len(s) <= MaxText && harmless(s, prose) {
		return s
	}
	const room = MaxText - len(`"...`)
	out := append(make([]byte, 0, MaxText), '"')
	for i := 0; i < len(s); {
		_, n := utf8.DecodeRuneInString(s[i:])
		var buf [16]byte
		// A rune at a time, so that no escape is cut in two.
		q := strconv.AppendQuote(buf[:0], s[i:i+n])
		if q = q[1 : len(q)-1]; len(out)+len(q) > room {
			return string(append(out, `"...`...))
		}
		out = append(out, q...)
		i += n
	}
	return string(append(out, '"'))
}

func harmless(s string, prose bool) bool {
	if s == "" {
		return prose
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\' || c < ' ' || c > '~':
			return false
		case (c == ' ' || c == '=') && !prose:
			return false
		}
	}
	return true
}
