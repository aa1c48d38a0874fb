package probetest

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
)

func TestSession(t *testing.T) {
	for _, p := range ports {
		t.Run(p.name, func(t *testing.T) {
			s, res, err := Open(patient(t), serve(t, p.port))
			if err != nil || res.Status != 101 {
				t.Fatal(res.Status, err)
			}
			long := strings.Repeat("long ", 20_000)
			for _, text := range []string{"hello", long} {
				if err := s.SendText(patient(t), text); err != nil {
					t.Fatal(err)
				}
				f, err := s.Read(patient(t))
				if err != nil || f.Opcode != OpText || string(f.Payload) != text {
					t.Fatalf("%d bytes came back as %d, %v", len(text), len(f.Payload), err)
				}
			}
			if res, err = s.Close(patient(t), 4000); err != nil || res.Err != nil || res.CloseCode != 4000 || res.Ending != ByFIN {
				t.Errorf("close: %+v, %v", res, err)
			}
		})
	}
}

func TestOpenIsRefused(t *testing.T) {
	s, res, err := Open(patient(t), serve(t, PlainPort), Field{"Origin", ForeignOrigin})
	if s != nil || err == nil || res.Status != 403 || res.Body != "refused\n" {
		t.Errorf("session %v, status %d, error %v", s, res.Status, err)
	}
	target := once(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1024)) })
	if s, _, err = Open(patient(t), target); s != nil || !errors.Is(err, io.EOF) {
		t.Errorf("a server that closes: session %v, error %v", s, err)
	}
}

func TestASessionOutlivesTheContextOfOpen(t *testing.T) {
	ctx, cancel := context.WithCancel(patient(t))
	s, _, err := Open(ctx, serve(t, PlainPort))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := s.SendText(patient(t), "still here"); err != nil {
		t.Error(err)
	}
	if f, err := s.Read(patient(t)); err != nil || string(f.Payload) != "still here" {
		t.Errorf("%q, %v", f.Payload, err)
	}
	if _, err := s.Read(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a read without a frame ends with %v", err)
	}
	conn := s.Conn()
	if _, err := conn.Write(Frame{Opcode: OpPing}.Bytes()); err != nil {
		t.Error(err)
	}
	head := make([]byte, 2)
	if _, err := io.ReadFull(conn, head); err != nil || head[0] != 0x80|OpPing {
		t.Errorf("% x, %v", head, err)
	}
	if _, err := s.Vanish(FIN); err != nil {
		t.Error(err)
	}
	if err := s.SendText(patient(t), "gone"); err == nil {
		t.Error("a vanished session still sends")
	}
}

const accepted = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Accept: WEV4ciHncz10h3v7rBV8yiKCmGA=\r\n\r\n"

func TestCloseWithServersThatMisbehave(t *testing.T) {
	for _, row := range []struct {
		rule   string
		frames string
		close  bool
		err    error
		fault  string
		code   int
		ending Ending
	}{
		{rule: "a server that does not answer", err: context.DeadlineExceeded, ending: StillOpen},
		{rule: "a server that answers and does not close", frames: "\x88\x02\x03\xe8", err: context.DeadlineExceeded, code: 1000, ending: StillOpen},
		{rule: "a server that leaves without a close frame", close: true, fault: "without a close frame", ending: ByFIN},
		{rule: "a close frame without a code, after data", frames: "\x81\x02hi\x88\x00", close: true, code: 1005, ending: ByFIN},
	} {
		t.Run(row.rule, func(t *testing.T) {
			res, err := Result{}, error(nil)
			try := func(ctx context.Context) bool {
				target := once(t, func(c net.Conn) {
					_, _ = c.Read(make([]byte, 1024))
					_, _ = io.WriteString(c, accepted)
					_, _ = c.Read(make([]byte, 1024))
					_, _ = io.WriteString(c, row.frames)
					if !row.close {
						_, _ = io.Copy(io.Discard, c)
					}
				})
				s, _, fault := Open(patient(t), target)
				if fault != nil {
					t.Fatal(fault)
				}
				res, err = s.Close(ctx, 1000)
				return res.CloseCode == row.code
			}
			if row.err == nil {
				try(patient(t))
			} else {
				untilDelivered(t, try)
			}
			if !errors.Is(err, row.err) || (res.Err == nil) != (row.fault == "") || res.Err != nil && !strings.Contains(res.Err.Error(), row.fault) {
				t.Errorf("error %v, Err %v", err, res.Err)
			}
			if res.CloseCode != row.code || res.Ending != row.ending {
				t.Errorf("code %d, ending %v; want %d, %v", res.CloseCode, res.Ending, row.code, row.ending)
			}
		})
	}
}

func TestVanish(t *testing.T) {
	for _, row := range []struct {
		end  End
		tls  bool
		want error
	}{
		{FIN, false, io.EOF}, {RST, false, syscall.ECONNRESET},
		{FIN, true, io.EOF}, {RST, true, syscall.ECONNRESET},
	} {
		cert, pool, err := Certificate()
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan taken, 1)
		target := once(t, func(c net.Conn) {
			raw := &tee{Conn: c}
			if c = raw; row.tls {
				c = tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{cert}})
			}
			_, _ = c.Read(make([]byte, 1024))
			_, _ = io.WriteString(c, accepted)
			before := len(raw.in)
			_, err := c.Read(make([]byte, 1024))
			got <- taken{after: err, in: raw.in[before:]}
		})
		if row.tls {
			target.TLS = &tls.Config{RootCAs: pool}
		}
		s, _, err := Open(patient(t), target)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := s.Vanish(row.end); err != nil || res.Ending != ByClient {
			t.Error(res, err)
		}
		if saw := <-got; !errors.Is(saw.after, row.want) || len(saw.in) > 0 {
			t.Errorf("%v, TLS %v: the server saw %v after % x, want %v and no byte", row.end, row.tls, saw.after, saw.in, row.want)
		}
	}
}
