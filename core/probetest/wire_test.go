package probetest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

var errEnough = errors.New("the server has seen enough")

// enough is a context that the server ends when it calls the function.
func enough(t *testing.T) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(patient(t))
	return ctx, func() { cancel(errEnough) }
}

func TestExchangeWithServersThatMisbehave(t *testing.T) {
	request := make([]byte, 1024)
	for _, row := range []struct {
		rule   string
		serve  func(c net.Conn, end func())
		err    error // of the function
		fault  error // of the Result
		status int
		body   string
		ending Ending
	}{
		{rule: "no answer before the end of the context is an error",
			serve: func(c net.Conn, end func()) {
				_, _ = c.Read(request)
				end()
				_, _ = io.Copy(io.Discard, c)
			}, err: errEnough, fault: os.ErrDeadlineExceeded, ending: StillOpen},
		{rule: "half an answer before the end of the context is an error",
			serve: func(c net.Conn, end func()) {
				_, _ = c.Read(request)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Le")
				end()
				_, _ = io.Copy(io.Discard, c)
			}, err: errEnough, fault: os.ErrDeadlineExceeded, ending: StillOpen},
		{rule: "a server that closes is a result",
			serve: func(c net.Conn, _ func()) { _, _ = c.Read(request) }, fault: io.EOF, ending: ByFIN},
		{rule: "a server that resets is a result",
			serve: func(c net.Conn, _ func()) {
				_, _ = c.Read(request)
				_ = c.(*net.TCPConn).SetLinger(0)
			}, fault: syscall.ECONNRESET, ending: ByRST},
		{rule: "half a head of an answer is an error of the Result",
			serve: func(c net.Conn, _ func()) {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Le")
				_, _ = c.Read(request)
			}, fault: io.ErrUnexpectedEOF, ending: ByFIN},
		{rule: "half a body of an answer is an error of the Result",
			serve: func(c net.Conn, _ func()) {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut")
				_, _ = c.Read(request)
			}, status: 200, body: "cut", fault: io.ErrUnexpectedEOF, ending: ByFIN},
		{rule: "bytes that are not HTTP are the body",
			serve: func(c net.Conn, _ func()) {
				_, _ = io.WriteString(c, "SSH-2.0-server\r\n")
				_, _ = io.Copy(io.Discard, c)
			}, body: "SSH-2.0-server\r\n"},
		{rule: "interim answers are skipped",
			serve: func(c net.Conn, _ func()) {
				_, _ = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
				_, _ = io.Copy(io.Discard, c)
			}, status: 204},
	} {
		t.Run(row.rule, func(t *testing.T) {
			ctx, end := enough(t)
			res, err := Do(ctx, once(t, func(c net.Conn) { row.serve(c, end) }), Request{})
			if !errors.Is(err, row.err) {
				t.Errorf("error is %v, want %v", err, row.err)
			}
			if !errors.Is(res.Err, row.fault) {
				t.Errorf("Result.Err is %v, want %v", res.Err, row.fault)
			}
			if res.Status != row.status || res.Body != row.body || res.Ending != row.ending {
				t.Errorf("got %d %q %v, want %d %q %v", res.Status, res.Body, res.Ending, row.status, row.body, row.ending)
			}
		})
	}
}

func TestAMalformedAnswerIsAResult(t *testing.T) {
	target, _ := record(t, "HTTP/1.1 200 OK\r\nno colon\r\n\r\n")
	if res, err := Do(patient(t), target, Request{}); err != nil || res.Err == nil || res.Status != 0 || res.Ending != ByClient {
		t.Errorf("got %+v, %v", res, err)
	}
}

func TestAServerThatDoesNotReadIsAnError(t *testing.T) {
	ctx, end := enough(t)
	hold := make(chan struct{})
	target := once(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		end()
		<-hold
	})
	defer close(hold)
	_, err := Send(ctx, target, make([]byte, 64<<20), FIN)
	if !errors.Is(err, errEnough) || !strings.Contains(err.Error(), "does not read") {
		t.Errorf("error is %v, want one that says the server does not read", err)
	}
}

func TestNoServerIsAnError(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if _, err := Connect(patient(t), Target{Addr: ln.Addr().String()}, FIN); err == nil {
		t.Error("no error without a server")
	}
}

func TestTheDefaultDeadline(t *testing.T) {
	ctx, cancel := bounded(context.Background())
	defer cancel()
	d, ok := ctx.Deadline()
	if left := time.Until(d); !ok || left > DefaultTimeout || left < DefaultTimeout-time.Second {
		t.Errorf("%v left, want %v", left, DefaultTimeout)
	}
	own, stop := context.WithTimeout(context.Background(), time.Hour)
	defer stop()
	longer, cancel := bounded(own)
	defer cancel()
	if d, _ := longer.Deadline(); time.Until(d) < 59*time.Minute {
		t.Error("the caller's deadline was shortened")
	}
}

// once serves one connection with f and closes it.
func once(t *testing.T, f func(net.Conn)) Target {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := ln.Accept(); err == nil {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			f(c)
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return Target{Addr: ln.Addr().String()}
}
