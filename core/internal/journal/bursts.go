package journal

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/quietws/quietws/core/internal/prober"
)

// burstWindow is how long the probes of one source on one route are only counted, after
// one of them was posted. No prober asks that often; many behind one address may.
const burstWindow = 50 * time.Millisecond

// burstStuck is when a window closes by itself because the journal waits for the logger.
// Without that, the time at which a prober was last seen would stay old.
const burstStuck = time.Second

// windowMask covers the part of a window's number that is kept with a source.
const windowMask = 1<<24 - 1

// bursts suppresses bursts: it counts answered probes that come in quick succession, so
// that they need not be posted. A window is open only while each single probe has no
// reader, and never at the pace of one prober. Nothing is lost: the first probe of each
// source in a window is posted, so each source is in each summary.
type bursts struct {
	// Shared by all goroutines.

	// window is the number of the open window, 0 while none is open.
	window atomic.Uint32
	// seen has the sources of posted probes, each with the window in which it was
	// posted, in one of four places. More than four sources overwrite each other.
	seen    [256]atomic.Uint64
	counted [prober.Count]atomic.Uint64

	// The rest belongs to the goroutine whose turn it is.

	windows uint32               // how many were opened
	until   time.Time            // deadline: the end of the window; zero: none is open
	stuck   *time.Timer          // closes the window if the journal does not
	latest  time.Time            // of the latest probe
	taken   [prober.Count]uint64 // how much of counted was returned
	fresh   [prober.Count]uint64 // what end returns
}

// suppress reports whether an answered probe by p from a is counted here. If not, it is
// to be posted.
func (b *bursts) suppress(a netip.Addr, p prober.Prober, route uint8) bool {
	window := b.window.Load()
	if window == 0 {
		return false
	}
	bytes := a.As16()
	h := mix(mix(binary.LittleEndian.Uint64(bytes[:8])^uint64(p)^uint64(route)<<8) ^ binary.LittleEndian.Uint64(bytes[8:]))
	at, mark := h>>56, h<<8&^windowMask|uint64(window&windowMask)
	place := &b.seen[at]
	for i := range uint64(4) {
		next := &b.seen[(at+i)%uint64(len(b.seen))]
		switch was := next.Load(); {
		case was == mark:
			b.counted[p].Add(1)
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

// probe notes an answered probe that was posted, and reports whether it begins a burst:
// it came soon after another one, and no window is open.
func (b *bursts) probe(now time.Time) (begins bool) {
	soon := now.Sub(b.latest) < burstWindow
	b.latest = now
	return soon && b.until.IsZero()
}

// open opens a window, in place of the one before.
func (b *bursts) open(now time.Time) {
	if b.windows++; b.windows&windowMask == 0 {
		b.windows++
	}
	b.until = now.Add(burstWindow)
	b.window.Store(b.windows)
	if b.stuck == nil {
		b.stuck = time.AfterFunc(burstStuck, func() { b.window.Store(0) })
	} else {
		b.stuck.Reset(burstStuck)
	}
}

// close closes the window.
func (b *bursts) close() {
	b.window.Store(0)
	b.until = time.Time{}
}

// end ends the window if it is over, or at once, and returns how many probes of each
// prober were counted since the last call. The slice is valid until the next call. goesOn
// asks for the next window: this one is over, and counted something.
func (b *bursts) end(now time.Time, atOnce bool) (counts []uint64, goesOn bool) {
	wasOpen := !b.until.IsZero()
	if wasOpen && !atOnce && now.Before(b.until) {
		return nil, false
	}
	if atOnce {
		b.window.Store(0) // before the counts are read
	}
	some := false
	for p := range b.counted {
		if b.fresh[p] = b.counted[p].Load() - b.taken[p]; b.fresh[p] > 0 {
			b.taken[p] += b.fresh[p]
			b.latest, some = now, true
		}
	}
	if goesOn = some && wasOpen && !atOnce; !goesOn {
		b.close()
	}
	return b.fresh[:], goesOn
}
