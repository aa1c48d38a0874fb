package fiberws_test

import (
	"fmt"
	"os"
	"testing"
)

// childEnv is the environment variable that tells a process that a test has started
// which of children it is.
const childEnv = "FIBERWS_TEST_CHILD"

// children are what such processes run, on platforms that have what they need.
var children = make(map[string]func())

func TestMain(m *testing.M) {
	if child := children[os.Getenv(childEnv)]; child != nil {
		child()
		return
	}
	os.Exit(m.Run())
}

// must ends a child that cannot go on.
func must(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}
