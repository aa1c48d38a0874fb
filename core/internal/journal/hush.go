package journal

import (
	"encoding/binary"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/prober"
)

// hushWindow is how long the probes of one source on one route are counted
// without being handed to the journal, once one of them was. No prober asks that
// often, a crowd behind one address may.
const hushWindow = 50 * time.Millisecond

// hushStuck is how long a window may be open beyond its end, because the
// Journal waits for the logger: when a prober was last seen hangs on it.
const hushStuck = time.Second

// windowMask is how much of a window's number is kept beside a source.
const windowMask = 1<<24 - 1

// hush spares the journal the probes that it would do nothing with but count
// them: the answered ones that come in quick succession. It is open only while
// the journal finds that nobody wants them whole, neither an observer nor a log
// at Debug. At a prober's own pace it is never open and each probe is handed
// over. What is counted here loses nothing: each source is handed over once in
// a window, and so in each summary.
type hush struct {
	// open is the number of the running window, 0 while none runs.
	open atomic.Uint32
	// told has the sources that were handed over, each with the window in
	// which it was, in one of four places. More than four take turns in them.
	told    [256]atomic.Uint64
	counted [prober.Count]atomic.Uint64

	// The rest belongs to the journal's goroutine.
	windows uint32
	end     time.Time   // of the running window, zero while none runs
	shut    *time.Timer // closes the window if the journal does not
	latest  time.Time   // when the latest probe was heard of
	taken   [prober.Count]uint64
}

// hushed reports whether an answered probe from a by p is counted and no more.
// If not it is to be handed over.
func (j *Journal) Hushed(a netip.Addr, p prober.Prober, route uint8) bool {
	window := j.hush.open.Load()
	if window == 0 {
		return false
	}
	b := a.As16()
	h := mix(mix(binary.LittleEndian.Uint64(b[:8])^uint64(p)^uint64(route)<<8) ^ binary.LittleEndian.Uint64(b[8:]))
	at, mark := h>>56, h<<8&^windowMask|uint64(window&windowMask)
	place := &j.hush.told[at]
	for i := range uint64(4) {
		next := &j.hush.told[(at+i)%uint64(len(j.hush.told))]
		switch was := next.Load(); {
		case was == mark:
			j.hush.counted[p].Add(1)
			return true
		case was&windowMask != mark&windowMask:
			place = next
		}
	}
	place.Store(mark)
	return false
}

// mix spreads x over all bits of its result (the constants of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// hushAfter opens a window where the answered probe in hand came soon after
// another one.
func (j *Journal) hushAfter(now time.Time) {
	h := &j.hush
	soon := now.Sub(h.latest) < hushWindow
	h.latest = now
	if soon && h.end.IsZero() {
		j.openHush(now)
	}
}

// openHush opens a window, in the place of one that is over, unless somebody
// wants every probe.
func (j *Journal) openHush(now time.Time) {
	h := &j.hush
	if j.Observe != nil || j.closed.Load() || j.enabled(slog.LevelDebug) {
		h.open.Store(0)
		h.end = time.Time{}
		return
	}
	if h.windows++; h.windows&windowMask == 0 {
		h.windows++
	}
	h.end = now.Add(hushWindow)
	j.arm(h.end)
	h.open.Store(h.windows)
	if h.shut == nil {
		h.shut = time.AfterFunc(hushStuck, func() { h.open.Store(0) })
	} else {
		h.shut.Reset(hushStuck)
	}
}

// endHush ends the running window if it is over, or at once. Where it is over
// and probes were counted in it another one follows, without a gap in which all
// of a crowd would be handed over.
func (j *Journal) endHush(now time.Time, atOnce bool) {
	h := &j.hush
	running := !h.end.IsZero()
	if running && !atOnce && now.Before(h.end) {
		j.arm(h.end)
		return
	}
	if atOnce {
		h.open.Store(0)
	}
	if j.takeHushed(now) && running && !atOnce {
		j.openHush(now)
		return
	}
	h.open.Store(0)
	h.end = time.Time{}
}

// takeHushed counts for the summary what was counted without the journal, and
// reports whether there was something.
func (j *Journal) takeHushed(now time.Time) (some bool) {
	h := &j.hush
	for p := range h.counted {
		n := h.counted[p].Load() - h.taken[p]
		if n == 0 {
			continue
		}
		h.taken[p] += n
		h.latest, some = now, true
		j.depictMore(now, pair{event.HTTPProbe, prober.Prober(p).String()}, n)
		j.picture.suppressed += n
		j.Suppressed(event.HTTPProbe, n)
	}
	return some
}
