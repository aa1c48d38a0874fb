//go:build unix

package main // signals are what it is stopped by

import (
	"testing"

	"github.com/quietws/quietws/examples/internal/smoke"
)

func TestMain(m *testing.M) { smoke.Main(m, main) }

func TestServer(t *testing.T) { smoke.Test(t, "/ws", "/contrib") }
