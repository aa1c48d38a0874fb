package fiberws_test

import (
	"os"
	"testing"
)

// starvedServer is set in the environment of the child of
// TestServesAfterFilesRanOut.
const starvedServer = "FIBERWS_TEST_STARVED"

// starved is what that child does, where there are limits.
var starved func()

func TestMain(m *testing.M) {
	if os.Getenv(starvedServer) != "" && starved != nil {
		starved()
		return
	}
	os.Exit(m.Run())
}
