package core

import (
	"log/slog"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/quietws/quietws/core/internal/journal/logtest"
)

// TestMain runs the tests and then fails if a goroutine of theirs is left. With
// [starvedServer] in the environment the process is a server instead, the
// child of TestServesAfterFilesRanOut.
func TestMain(m *testing.M) {
	if os.Getenv(starvedServer) != "" {
		serveStarved()
		return
	}
	_ = os.Unsetenv(inKubernetes) // a drain there takes two seconds more
	goleak.VerifyTestMain(m)
}

const starvedServer = "QUIETWS_TEST_STARVED_SERVER"

// newGuardAndLog returns a guard and what it logs from level on. The test closes the
// guard, or does not care.
func newGuardAndLog(t testing.TB, c Config, level slog.Level) (*Guard, *logtest.Lines) {
	t.Helper()
	log := &logtest.Lines{Level: level}
	c.Logger = slog.New(log)
	return quietGuard(t, c), log
}

// told returns the lines logged so far.
func linesLoggedBy(t testing.TB, g *Guard, log *logtest.Lines) []logtest.Line {
	t.Helper()
	if err := g.journal.Flush(t.Context()); err != nil {
		t.Fatalf("flush: %v", err)
	}
	return log.Take()
}
