package frames

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// netWire is a real connection.
type netWire struct{ net.Conn }

func (netWire) Now() time.Time { return time.Now() }

// pair returns both ends of a connection over loopback.
func pair(t *testing.T, secure bool) (server, client net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err = net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	server, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	if secure {
		https := httptest.NewTLSServer(nil)
		defer https.Close()
		server = tls.Server(server, &tls.Config{Certificates: https.TLS.Certificates})
		client = tls.Client(client, &tls.Config{InsecureSkipVerify: true})
	}
	return server, client
}

func forBoth(t *testing.T, f func(t *testing.T, secure bool)) {
	t.Run("plain", func(t *testing.T) { f(t, false) })
	t.Run("TLS", func(t *testing.T) { f(t, true) })
}

// Four goroutines write messages up to 300 KiB on a real connection while the close
// frame is asked for: the peer reads whole messages, the close frame and the end.
func TestRealConnection(t *testing.T) {
	forBoth(t, func(t *testing.T, secure bool) {
		server, client := pair(t, secure)
		s := new(Session)
		s.Start(true, secure)
		w := netWire{server}
		var peer sync.WaitGroup
		var got bytes.Buffer
		half := make(chan struct{})
		peer.Go(func() {
			if _, err := io.CopyN(&got, client, 2<<20); err != nil {
				t.Error(err)
			}
			close(half)
			for p := make([]byte, 64<<10); !bytes.HasSuffix(got.Bytes(), goingAway); {
				n, err := client.Read(p)
				got.Write(p[:n])
				if err != nil {
					t.Error(err)
					return
				}
			}
			if _, err := client.Write(theirs); err != nil {
				t.Error(err)
			}
			if _, err := io.Copy(&got, client); err != nil {
				t.Error(err)
			}
		})
		var library sync.WaitGroup
		for g := range uint64(4) {
			library.Go(func() {
				r := rand.New(rand.NewPCG(g, 0))
				for {
					p := frame(text, bytes.Repeat([]byte{byte('a' + g)}, r.IntN(1+300<<r.IntN(11))))
					if _, err := s.Write(w, p, 1); err != nil {
						if !errors.Is(err, net.ErrClosed) {
							t.Error(err)
						}
						return
					}
				}
			})
		}
		<-half
		closeReal(t, s, w)
		p := make([]byte, 100)
		n, err := server.Read(p)
		if err != nil {
			t.Error(err)
		}
		s.Received(p[:n], 2)
		library.Wait() // also for the Write that sent the close frame: the answer may be here before it has returned
		wantState(t, s.State(), Sent)
		_ = server.Close()
		peer.Wait()
		frames, rest, err := readFrames(got.Bytes(), false)
		if err != nil || len(rest) > 0 || len(frames) == 0 || frames[len(frames)-1].op != opClose {
			t.Fatalf("%d frames, %d bytes of half a frame, %v", len(frames), len(rest), err)
		}
		if f := s.Facts(); !f.Answered || f.MessagesOut != uint64(len(frames)-1) {
			t.Errorf("%d frames, %+v", len(frames), f)
		}
	})
}

func closeReal(t *testing.T, s *Session, w Wire) State {
	t.Helper()
	state, err := s.Close(w, 1001, "")
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// While a Write of the library's is blocked on a peer that does not read, Close
// does not wait, and the close frame comes behind it once the peer reads.
func TestRealSlowPeer(t *testing.T) {
	forBoth(t, func(t *testing.T, secure bool) {
		server, client := pair(t, secure)
		s := new(Session)
		s.Start(true, secure)
		w := netWire{server}
		big := frame(0x82, make([]byte, 32<<20))
		var library sync.WaitGroup
		library.Go(func() {
			if n, err := s.Write(w, big, 1); n != len(big) || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		})
		first := make([]byte, 100) // the Write has begun
		if _, err := io.ReadFull(client, first); err != nil {
			t.Fatal(err)
		}
		wantState(t, closeReal(t, s, w), Pending)
		rest := make([]byte, len(big)-len(first)+len(goingAway))
		if _, err := io.ReadFull(client, rest); err != nil {
			t.Fatal(err)
		}
		library.Wait()
		wantState(t, s.State(), Sent)
		if !bytes.Equal(join(first, rest), join(big, goingAway)) {
			t.Error("not what was written")
		}
	})
}

// What Session.Start is given for crypto/tls: after a Write that timed out, though
// not a byte of it went out, the connection takes nothing any more, while a plain
// one does.
func TestRealTimeout(t *testing.T) {
	forBoth(t, func(t *testing.T, secure bool) {
		server, client := pair(t, secure)
		go func() { _, _ = io.Copy(io.Discard, client) }()
		if _, err := server.Write(msg); err != nil {
			t.Fatal(err)
		}
		_ = server.SetWriteDeadline(time.Unix(1, 0))
		if n, err := server.Write(msg); n != 0 || err == nil {
			t.Fatal(n, err)
		}
		_ = server.SetWriteDeadline(time.Time{})
		if _, err := server.Write(msg); (err != nil) != secure {
			t.Error(err)
		}
	})
}
