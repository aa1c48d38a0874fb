package probetest

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
)

func TestBytesAndEndsOnTheWire(t *testing.T) {
	const raw = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, row := range []struct {
		rule  string
		n     int
		end   End
		reply string
		bytes string
		eof   error
	}{
		{"no byte and FIN", 0, FIN, "", "", io.EOF},
		{"no byte and RST", 0, RST, "", "", syscall.ECONNRESET},
		{"a cut and FIN", 7, FIN, "", raw[:7], io.EOF},
		{"a cut and RST: the bytes arrive before it", 7, RST, "", raw[:7], syscall.ECONNRESET},
		{"a cut and half a close", 7, HalfClose, "", raw[:7], io.EOF},
		{"an unread answer does not turn the FIN into an RST", 7, FIN, "HTTP/1.1 408 Request Timeout\r\n\r\n", raw[:7], io.EOF},
		{"a negative length sends nothing", -1, FIN, "", "", io.EOF},
		{"a length past the end sends everything", 1000, FIN, "", raw, io.EOF},
	} {
		t.Run(row.rule, func(t *testing.T) {
			target, got := record(t, row.reply)
			res, err := Cut(patient(t), target, []byte(raw), row.n, row.end)
			if err != nil || res.Err != nil {
				t.Fatal(err, res.Err)
			}
			s := <-got
			if string(s.bytes) != row.bytes || !errors.Is(s.err, row.eof) {
				t.Errorf("the server read %q, %v; want %q, %v", s.bytes, s.err, row.bytes, row.eof)
			}
			if res.Local.String() != s.remote {
				t.Errorf("Result.Local is %v, the server saw %s", res.Local, s.remote)
			}
		})
	}
}

func TestHalfCloseAndSilenceReadTheAnswer(t *testing.T) {
	for _, end := range []End{HalfClose, Silence} {
		t.Run(end.String(), func(t *testing.T) {
			res, err := Result{}, error(nil)
			untilDelivered(t, func(ctx context.Context) bool {
				target, _ := record(t, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlate")
				res, err = Send(ctx, target, []byte("GET"), end)
				return res.Body != ""
			})
			if err != nil || res.Status != 408 || res.Body != "late" {
				t.Errorf("got %d %q, %v", res.Status, res.Body, err)
			}
			if want := map[End]Ending{HalfClose: ByFIN, Silence: StillOpen}[end]; res.Ending != want {
				t.Errorf("ending %v, want %v", res.Ending, want)
			}
		})
	}
}

func TestSilenceKnowsAReset(t *testing.T) {
	target := once(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		_ = c.(*net.TCPConn).SetLinger(0)
	})
	if res, err := Send(patient(t), target, []byte("x"), Silence); err != nil || res.Ending != ByRST || res.Err != nil {
		t.Errorf("ending %v, Err %v, error %v; want rst", res.Ending, res.Err, err)
	}
}
