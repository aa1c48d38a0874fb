package health

import (
	"context"
	"log/slog"
	"runtime/debug"
	"slices"
)

// maxQueue is how many changes wait while a logger or listener blocks.
const maxQueue = 256

// notify hands a change to the goroutine that logs it and calls OnChange. That goroutine
// exists only while changes wait. The caller holds c.mu.
func (c *Checker) notify(change Change) {
	if len(c.queue) == maxQueue {
		// The oldest goes, so that the last one shows the present state.
		c.queue = slices.Delete(c.queue, 0, 1)
		c.lost++
	}
	c.queue = append(c.queue, change)
	if !c.notifying {
		c.notifying = true
		go c.notifyAll()
	}
}

func (c *Checker) notifyAll() {
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		// Changes are left if a listener ended this goroutine.
		c.notifying = len(c.queue) > 0
		if c.notifying {
			go c.notifyAll()
		}
	}()
	for {
		c.mu.Lock()
		if len(c.queue) == 0 {
			c.mu.Unlock()
			return
		}
		change, lost := c.queue[0], c.lost
		c.queue, c.lost = c.queue[1:], 0
		c.mu.Unlock()
		c.log(change, lost)
		c.call(change)
	}
}

func (c *Checker) call(change Change) {
	if c.config.OnChange == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			err := &PanicError{Value: p, Stack: debug.Stack()}
			c.write(slog.LevelError, "health listener panicked",
				slog.String("check", change.Check), slog.String("error", describe(err)), slog.String("stack", string(err.Stack)))
		}
	}()
	c.config.OnChange(change)
}

// log writes the one line of a change, and one more if changes were lost.
func (c *Checker) log(change Change, lost int) {
	if lost > 0 {
		c.write(slog.LevelWarn, "health changes dropped, the logger or listener is too slow", slog.Int("count", lost))
	}
	c.write(change.level(), change.message(), change.attrs()...)
}

// write contains panics of the user's log handler.
func (c *Checker) write(level slog.Level, message string, attrs ...slog.Attr) {
	defer func() { _ = recover() }()
	c.config.Logger.LogAttrs(context.Background(), level, message, attrs...)
}
