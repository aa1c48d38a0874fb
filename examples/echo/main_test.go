//go:build unix

package main // the test stops it with signals

import (
	"testing"

	"github.com/quietws/quietws/examples/internal/smoke"
)

func TestMain(m *testing.M) { smoke.Main(m, main) }

func TestServer(t *testing.T) { smoke.Test(t, "/ws", "/gorilla") }
