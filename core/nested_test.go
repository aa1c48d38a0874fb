package core

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A component's guard works inside the server of another guard. Both have their own
// sessions, limit and drain, also with a layer further in than the component's.
func TestGuardInsideAGuard(t *testing.T) {
	for _, s := range stands4 {
		for _, deeper := range []string{"", ", and Endpoint of the outer one inside"} {
			t.Run(s.name+deeper, func(t *testing.T) {
				events := new(book)
				one := quietGuard(t, Config{Observe: events.observe})
				two := quietGuard(t, Config{MaxSessions: 1})
				said := make(chan *Session, 4)
				h := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					session := func() *Session { return (*Session)(two.exchangeIn(r.Context())) }
					c, _, err := http.NewResponseController(w).Hijack()
					if err != nil {
						t.Errorf("Hijack: %v", err)
						return
					}
					session().OnDrain(func() { said <- session(); _ = c.Close() })
					_, _ = io.WriteString(c, answer101)
					_, _ = c.Read(make([]byte, 1))
					_ = c.Close()
				}))
				if deeper != "" {
					h = one.Endpoint(h)
				}
				mux := http.NewServeMux()
				mux.Handle("/ws", two.Wrap(two.Endpoint(h)))
				address := s.serve(t, one, &http.Server{Handler: mux})
				var open []net.Conn
				for _, want := range []string{"101", "503", "503"} {
					c, err := net.Dial("tcp", address)
					if err != nil {
						t.Fatal(err)
					}
					defer func() { _ = c.Close() }()
					_ = c.SetDeadline(time.Now().Add(10 * time.Second))
					_, _ = io.WriteString(c, strings.Replace(upgradeGET, "\r\nHost", "\r\nX-A: b\r\nHost", 1))
					p := make([]byte, 12)
					if _, err := io.ReadFull(c, p); err != nil || string(p[9:]) != want {
						t.Errorf("answered %q, %v; want %s", p, err, want)
					}
					open = append(open, c)
				}
				if a, b := one.Snapshot().SessionsOpen, two.Snapshot().SessionsOpen; a != 1 || b != 1 {
					t.Errorf("%d sessions of the outer guard and %d of the inner, want one each", a, b)
				}
				if r := drained(t, two); r.Sessions != 1 || r.Closed != 1 || len(said) != 1 {
					t.Errorf("%+v, %d goodbyes; want one", r, len(said))
				}
				for _, c := range open {
					_ = c.Close()
				}
				atRest(t, one)
				atRest(t, two)
				for _, g := range []*Guard{one, two} {
					for _, h := range g.Snapshot().Handshakes {
						if h.Result == "accepted" && h.N != 1 {
							t.Errorf("%d handshakes accepted, want one", h.N)
						}
					}
				}
			})
		}
	}
}
