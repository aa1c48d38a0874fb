package core

import (
	"log/slog"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/quietws/quietws/core/internal/journal/logtest"
)

// TestMain runs the tests, then fails if one of their goroutines is left. With
// [starvedServer] in the environment, the process is a server instead: the child of
// TestServesAfterFilesRanOut.
func TestMain(m *testing.M) {
	if os.Getenv(starvedServer) != "" {
		serveStarved()
		return
	}
	_ = os.Unsetenv(inKubernetes) // there a drain takes two seconds longer
	goleak.VerifyTestMain(m)
}

const starvedServer = "QUIETWS_TEST_STARVED_SERVER"

// newGuardAndLog returns a guard and its log from level on. The test may close the guard.
func newGuardAndLog(t testing.TB, c Config, level slog.Level) (*Guard, *logtest.Lines) {
	t.Helper()
	log := &logtest.Lines{Level: level}
	c.Logger = slog.New(log)
	return quietGuard(t, c), log
}

// linesLoggedBy returns the lines logged so far.
func linesLoggedBy(t testing.TB, g *Guard, log *logtest.Lines) []logtest.Line {
	t.Helper()
	if err := g.journal.Flush(t.Context()); err != nil {
		t.Fatalf("flush: %v", err)
	}
	return log.Take()
}
