package main

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// What goes over a session, whatever the library: each message begins with a
// letter. The client sends echoes, which come back as they are, and orders to
// close; the server pushes from pushers goroutines at once.
const (
	echoed = 'e' // and then what the client and nobody else knows
	pushed = 'p' // and then which goroutine, its count and a checksum: see push
	order  = 'c' // and then the close code in decimal
)

const pushers = 4

// longest is the longest message, in bytes.
const longest = 2 << 20

// material is text that does not compress well, the same in both processes. It is
// ASCII without quotes, so that it may stand in JSON.
var material = func() []byte {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	b := make([]byte, longest+1<<16)
	r := rand.NewPCG(6455, 7692)
	for i := 0; i < len(b); i += 8 {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], r.Uint64())
		for j, c := range word {
			b[i+j] = letters[c%64]
		}
	}
	return b
}()

// pushHead is how long the head of a push is.
const pushHead = 1 + 1 + 8 + 8

// push is the message number n of a goroutine, with size bytes after its head.
func push(goroutine, n, size int) []byte {
	at := (n*7919 + goroutine*104729) % (1 << 16)
	body := material[at : at+size]
	b := make([]byte, 0, pushHead+size)
	b = fmt.Appendf(b, "%c%d%08d%08x", pushed, goroutine, n, crc32.ChecksumIEEE(body))
	return append(b, body...)
}

// checkPush returns the goroutine and the number of a push.
func checkPush(b []byte) (goroutine, n int, err error) {
	if len(b) < pushHead || b[1] < '0' || b[1] >= '0'+pushers {
		return 0, 0, fmt.Errorf("a push of %d bytes: %.20q", len(b), b)
	}
	n, err = strconv.Atoi(string(b[2:10]))
	if err != nil {
		return 0, 0, err
	}
	sum, err := strconv.ParseUint(string(b[10:pushHead]), 16, 32)
	if err != nil {
		return 0, 0, err
	}
	if uint32(sum) != crc32.ChecksumIEEE(b[pushHead:]) {
		return 0, 0, fmt.Errorf("the checksum of push %d, %d bytes", n, len(b))
	}
	return int(b[1] - '0'), n, nil
}

// pushSizes are the sizes of one push after the other.
var pushSizes = []int{0, 40, 125 - pushHead, 126 - pushHead, 700, 3 << 10, 9 << 10, 70 << 10}

// every: one session of so many has the longest messages.
var every = 8

// pushSize is that of message number n of a goroutine in the session of this
// number.
func pushSize(session int64, goroutine, n int) int {
	if session%int64(every) == 0 && goroutine == pushers-1 && n%64 == 2 {
		return longest - pushHead
	}
	return pushSizes[(n+goroutine)%len(pushSizes)]
}

// wire is a session as the application has it from its library.
type wire struct {
	// send sends a message from any goroutine, in the library's own safe way.
	send func(text bool, p []byte) error
	// fragments is send in several frames, nil where the library cannot.
	fragments func(text bool, p []byte) error
	// end closes with a code in the library's own way.
	end func(code int) error
}

// talk is what the application does with a session.
type talk struct {
	w    wire
	stop chan struct{}
	over func() // stops the pushers
	wait sync.WaitGroup
}

var sessions atomic.Int64

// pace is the time between two pushes of a goroutine.
var pace = 100 * time.Millisecond

// talkOver starts the pushers.
func talkOver(w wire) *talk {
	t := &talk{w: w, stop: make(chan struct{})}
	t.over = sync.OnceFunc(func() { close(t.stop) })
	session := sessions.Add(1) - 1
	for g := range pushers {
		t.wait.Go(func() { t.push(session, g) })
	}
	return t
}

func (t *talk) push(session int64, goroutine int) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := 0; ; n++ {
		send := t.w.send
		if t.w.fragments != nil && (n+goroutine)%3 == 0 {
			send = t.w.fragments
		}
		if send(n%2 == 0, push(goroutine, n, pushSize(session, goroutine, n))) != nil {
			return
		}
		select {
		case <-t.stop:
			return
		case <-tick.C:
		}
	}
}

// message answers one of the client's.
func (t *talk) message(text bool, p []byte) error {
	if len(p) > 1 && p[0] == order {
		code, err := strconv.Atoi(string(p[1:]))
		if err != nil {
			return err
		}
		t.end() // nothing may follow the close frame
		return t.w.end(code)
	}
	if t.w.fragments != nil && len(p)%2 == 0 {
		return t.w.fragments(text, p)
	}
	return t.w.send(text, p)
}

// end stops the pushers and waits for them; the connection is closed, or they
// might never end.
func (t *talk) end() {
	t.over()
	t.wait.Wait()
}
