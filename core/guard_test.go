package core

import (
	"strings"
	"testing"

	"github.com/quietws/quietws/core/internal/journal"
)

// Learned paths are copies, not parts of the request line, and no longer than any other
// text that is kept.
func TestLearnKeepsNothingElse(t *testing.T) {
	g := quietGuard(t, Config{})
	line := "GET /ws?" + strings.Repeat("a", 1<<16)
	g.paths.learn(line[4:7], "")
	g.paths.learn("/"+strings.Repeat("a", journal.MaxText), "GET")
	m := g.paths.sockets.Load()
	if m == nil || len(*m) != 1 || g.paths.servedAt("/ws") != servedSocket {
		t.Fatalf("learned %v, want /ws alone", m)
	}
	for path := range *m {
		if within(path, line) {
			t.Errorf("%s keeps a line of %d bytes", path, len(line))
		}
	}
	for _, handler := range []string{"GET", "", "POST"} { // what is known does not change
		if g.paths.learn(line[4:7], handler); g.paths.servedAt("/ws") != servedSocket|servedGET {
			t.Errorf("learned %b by %q", g.paths.servedAt("/ws"), handler)
		}
	}
}

func TestMust(t *testing.T) {
	g := Must(New(Config{}))
	if g == nil {
		t.Error("no guard")
	}
	_ = g.Close()
	_, wrong := New(Config{MaxSessions: -1})
	defer func() {
		if got := recover(); got == nil || got.(error).Error() != wrong.Error() {
			t.Errorf("panic %v, want %v", got, wrong)
		}
	}()
	Must(New(Config{MaxSessions: -1}))
}
