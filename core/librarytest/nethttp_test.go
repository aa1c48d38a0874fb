package librarytest

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"github.com/quietws/quietws/core/coretest"
	"github.com/quietws/quietws/core/coretest/httpapp"
)

var discard = slog.New(slog.DiscardHandler)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestNetHTTP runs the suite on net/http with coder/websocket and
// gorilla/websocket. In core/coretest it runs without a library.
func TestNetHTTP(t *testing.T) {
	coretest.Run(t, coretest.Adapter{Start: httpapp.Start(httpapp.Mux(socket)), Framework: coretest.NetHTTP(), Hooks: httpapp.Hooks()})
}
