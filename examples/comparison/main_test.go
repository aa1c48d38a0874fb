package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"testing"
)

// TestMain is also the servers: start starts this program again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "server" {
		main()
		return
	}
	os.Exit(m.Run())
}

func started(t *testing.T, s server) *child {
	t.Helper()
	c, err := (&bench{dir: t.TempDir()}).start(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stop)
	return c
}

// get returns an answer without its date.
func get(t *testing.T, c *child, path string) string {
	t.Helper()
	nc, err := c.talk()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(res.Header, func(name string, _ []string) bool { return name == "Date" || name == "Server" })
	return fmt.Sprint(res.StatusCode, res.Header, string(body))
}

// The compared servers do the same: their answers are equal, and sessions echo.
func TestServersDoTheSame(t *testing.T) {
	for _, framework := range web {
		for _, overTLS := range []bool{false, true} {
			without := started(t, server{Framework: framework, Variant: bare, TLS: overTLS})
			for _, variant := range []string{quiet, handled, named} {
				with := started(t, server{Framework: framework, Variant: variant, TLS: overTLS})
				ready, err := with.requests(1, kubelet) // once the checks have run
				if err != nil {
					t.Fatalf("%v: %v", with, err)
				}
				ready.close()
				for _, path := range []string{"/app", "/readyz"} {
					if want, got := get(t, without, path), get(t, with, path); got != want {
						t.Errorf("%v, %s: answered %s, without quietws %s", with, path, got, want)
					}
				}
			}
		}
	}
}

func TestSessions(t *testing.T) {
	for _, framework := range websockets {
		for _, variant := range []string{bare, quiet, handled} {
			c := started(t, server{Framework: framework, Variant: variant})
			if err := connects(c.session).run(3); err != nil {
				t.Errorf("%v: a session: %v", c, err)
			}
			for _, size := range []int{64, 64 << 10} {
				all, err := c.sessions(nil, 2, size)
				if err == nil {
					err = all.run(4)
				}
				all.close()
				if err != nil {
					t.Errorf("%v: messages of %d bytes: %v", c, size, err)
				}
			}
		}
	}
}

// A session's goroutine needs no larger stack than on the bare server: Go doubles a
// stack that is too small, and it stays doubled as long as the session lives.
func TestSessionsKeepTheirStack(t *testing.T) {
	b := &bench{dir: t.TempDir()}
	for _, framework := range websockets {
		without, err := b.kept(server{Framework: framework, Variant: bare})
		if err != nil {
			t.Fatal(err)
		}
		for _, variant := range []string{quiet, handled} {
			with, err := b.kept(server{Framework: framework, Variant: variant})
			if err != nil {
				t.Fatal(err)
			}
			if more := with - without; more > 4<<10 {
				t.Errorf("%s %s: a session has %.0f bytes more", framework, variant, more)
			}
		}
	}
}

// A wrong answer is an error.
func TestAskerReadsAnswers(t *testing.T) {
	c := started(t, server{Framework: "nethttp", Variant: bare})
	all, err := c.requests(1, browser)
	if err != nil {
		t.Fatal(err)
	}
	defer all.close()
	all[0].ask = []byte("GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if err := all.run(1); err == nil {
		t.Error("404 is no error")
	}
}
