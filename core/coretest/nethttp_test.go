package coretest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/quietws/quietws/core/coretest"
	"github.com/quietws/quietws/core/coretest/httpapp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestNetHTTP runs the suite on plain net/http.
func TestNetHTTP(t *testing.T) {
	coretest.Run(t, coretest.Adapter{Start: httpapp.Start(httpapp.Mux(httpapp.Plain)), Framework: coretest.NetHTTP(), Hooks: httpapp.Hooks()})
}
