package core

import (
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"sync"

	"github.com/quietws/quietws/core/internal/conn"
)

// connTable finds the conn.Conn of a foreign connection.
type connTable struct{ m sync.Map }

// hashable reports whether nc can be a key: a listener may return anything.
func hashable(nc net.Conn) bool {
	v := reflect.ValueOf(nc)
	return v.Kind() == reflect.Pointer || v.Comparable()
}

func (t *connTable) load(nc net.Conn) *conn.Conn {
	if !hashable(nc) {
		return nil
	}
	c, _ := t.m.Load(nc)
	found, _ := c.(*conn.Conn)
	return found
}

func (t *connTable) store(nc net.Conn, c *conn.Conn) { t.m.Store(nc, c) }

func (t *connTable) delete(nc net.Conn) {
	if hashable(nc) {
		t.m.Delete(nc)
	}
}

// notWatched logs, once, that connections of a type that cannot be compared are
// not counted.
func (g *Guard) notWatched(nc net.Conn) {
	if g.once.strange.CompareAndSwap(false, true) {
		g.journal.Note(slog.LevelWarn, "connections of this listener are not counted", slog.String("type", fmt.Sprintf("%T", nc)),
			slog.String("remedy", "put Guard.Listener below the listener that makes them, or let it return pointers"))
	}
}
