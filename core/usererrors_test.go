package core

import (
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/journal"
	"github.com/quietws/quietws/core/internal/journal/logtest"
	"github.com/quietws/quietws/core/internal/usererror/hostile"
)

// Whatever error an application, a library or its own listener returns: every question
// about it is answered, and no panic in it gets out.
func TestHostileErrors(t *testing.T) {
	for i, err := range append(hostile.Errors(), (*event.HandshakeError)(nil)) {
		t.Run(fmt.Sprintf("%d %T", i, err), func(t *testing.T) {
			if passes(err) || closeCode(err) != 0 {
				t.Error("it counts as a shortage or has a close code")
			}
			unreadReason(ReadError{}, err)
			synctest.Test(t, func(t *testing.T) {
				log := &logtest.Lines{}
				j := journal.New(journal.Config{Logger: slog.New(log), Collapse: time.Minute, Summary: time.Hour, Suppressed: func(event.Class, uint64) {}})
				for range 2 {
					j.Post(&event.Event{Class: event.UpgradeFailed, Err: err})
					j.Post(&event.Event{Class: event.SessionEnded, Err: err})
					j.Post(&event.Event{Class: event.HandlerPanic, Panic: err})
				}
				if e := j.Close(time.Second); e != nil {
					t.Error(e)
				}
				if j.Dropped() != 0 || len(log.Take()) == 0 {
					t.Error("its lines are lost")
				}
			})
		})
	}
}
