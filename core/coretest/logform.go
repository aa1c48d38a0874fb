package coretest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"unicode/utf8"
)

// form is a handler of log/slog, and a function that reads its lines back.
type form struct {
	name string
	make func(io.Writer) slog.Handler
	read func(string) (map[string]string, error)
}

var handlers = []form{
	{"text", func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) }, readText},
	{"JSON", func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) }, readJSON},
}

// wrong says what is wrong with l as this handler writes it, "" for nothing.
func (f form) wrong(l line) string {
	var buf bytes.Buffer
	if err := f.make(&buf).Handle(context.Background(), l.record); err != nil {
		return err.Error()
	}
	text, ends := strings.CutSuffix(buf.String(), "\n")
	switch at := strings.IndexFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }); {
	case !ends:
		return fmt.Sprintf("%q is no line", text)
	case at >= 0:
		return fmt.Sprintf("at %d there is a control character or a line break: %q", at, text)
	case !utf8.ValidString(text):
		return fmt.Sprintf("no UTF-8: %q", text)
	case len(text) > maxLine && l.attrs["stack"] == "":
		return fmt.Sprintf("%d bytes, want at most %d: %q", len(text), maxLine, text)
	}
	got, err := f.read(text)
	if err != nil {
		return fmt.Sprintf("cannot be read back: %v: %q", err, text)
	}
	if len(got) != len(l.attrs)+3 || got["msg"] != l.msg || got["level"] != l.level.String() {
		return fmt.Sprintf("has unknown attributes: %v in %q", got, text)
	}
	for name, value := range got {
		if want, given := l.attrs[name]; given && name != "samples" && name != "duration" && name != "window" && value != want {
			return fmt.Sprintf("says %s=%q, want %q", name, value, want)
		}
	}
	return ""
}

// readText reads a line of slog.TextHandler: name=value, where values with a space are
// quoted.
func readText(text string) (map[string]string, error) {
	all := make(map[string]string)
	for text != "" {
		name, rest, ok := strings.Cut(text, "=")
		if _, twice := all[name]; !ok || twice || strings.ContainsAny(name, ` "`) {
			return nil, fmt.Errorf("the name %q", name)
		}
		value, after, _ := strings.Cut(rest, " ")
		if quoted, err := strconv.QuotedPrefix(rest); err == nil {
			value, _ = strconv.Unquote(quoted)
			if after = rest[len(quoted):]; after != "" && after[0] != ' ' {
				return nil, fmt.Errorf("after %s: %q", quoted, after)
			}
			after = strings.TrimPrefix(after, " ")
		}
		all[name], text = value, after
	}
	return all, nil
}

// readJSON reads a line of slog.JSONHandler.
func readJSON(text string) (map[string]string, error) {
	var values map[string]any
	if err := json.Unmarshal([]byte(text), &values); err != nil {
		return nil, err
	}
	all := make(map[string]string)
	for name, value := range values {
		all[name] = fmt.Sprint(value)
	}
	return all, nil
}
