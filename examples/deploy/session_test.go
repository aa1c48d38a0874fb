package deploy

import (
	"bufio"
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// dial opens a session as a page of that address does.
func dial(addr string) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "ws://"+addr+"/ws", &websocket.DialOptions{
		HTTPHeader: http.Header{"Origin": {"http://" + addr}},
	})
	return ws, err
}

// echoes says something on a session and hears it back.
func echoes(ws *websocket.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := ws.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		return err
	}
	_, _, err := ws.Read(ctx)
	return err
}

// open opens a session that works, and returns a channel for its close code.
func open(t *testing.T, addr string) <-chan websocket.StatusCode {
	t.Helper()
	ws, err := dial(addr)
	if err == nil {
		err = echoes(ws)
	}
	if err != nil {
		t.Fatal(err)
	}
	code := make(chan websocket.StatusCode, 1)
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _, err := ws.Read(ctx)
		code <- websocket.CloseStatus(err)
	}()
	t.Cleanup(func() { cancel(); <-over; _ = ws.CloseNow() })
	return code
}

// steadily opens a session every 25 ms, whether or not the one before is
// through, until stopped; what that returns is how many, and each failure.
func steadily(addr string) (stop func() (made int, failed []error)) {
	var (
		all  sync.WaitGroup
		mu   sync.Mutex
		made int
		errs []error
	)
	end := make(chan struct{})
	all.Go(func() {
		tick := time.NewTicker(25 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
			}
			made++
			all.Go(func() {
				ws, err := dial(addr)
				if err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
					return
				}
				_ = echoes(ws) // it may be closed at once
				_ = ws.Close(websocket.StatusNormalClosure, "")
			})
		}
	})
	return func() (int, []error) {
		close(end)
		all.Wait()
		return made, errs
	}
}

// metric is one of a server's, the sum over its labels.
func (s *server) metric(t *testing.T, name string) (sum float64) {
	t.Helper()
	res, err := http.Get("http://" + s.addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		sample, value, _ := strings.Cut(lines.Text(), " ")
		if found, _, _ := strings.Cut(sample, "{"); found == name {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += v
		}
	}
	return sum
}
