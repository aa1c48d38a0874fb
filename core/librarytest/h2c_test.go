package librarytest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"

	"github.com/quietws/quietws/core"
)

// A connection that a request turned into HTTP/2, as with h2c.NewHandler, carries many
// requests at once: none is mistaken for another or for the preface.
func TestEndpointOverH2C(t *testing.T) {
	for name, attached := range map[string]bool{"Wrap": false, "Attach and Listener": true} {
		t.Run(name, func(t *testing.T) {
			g := quietGuard(t, core.Config{ProbePaths: []string{"/ws"}})
			mux := http.NewServeMux()
			mux.Handle("/ws", g.Endpoint(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = fmt.Fprint(w, "the application's, a session: ", core.SessionOf(r.Context()) != nil)
			})))
			// Inside the upgrade, where Wrap alone sees the requests.
			handler := http.Handler(mux)
			if !attached {
				handler = g.Wrap(mux)
			}
			server := httptest.NewUnstartedServer(h2c.NewHandler(handler, &http2.Server{}))
			if attached {
				g.Attach(server.Config)
				server.Listener = g.Listener(server.Listener)
			}
			server.Start()
			defer server.Close()
			// One connection for all of them: a second one, dialled for a request that
			// the first then carried, would stay open beyond CloseIdleConnections.
			transport := &http.Transport{Protocols: new(http.Protocols), MaxConnsPerHost: 1}
			transport.Protocols.SetUnencryptedHTTP2(true)
			var all sync.WaitGroup
			for i := range 40 {
				all.Go(func() {
					r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/ws", nil)
					if err != nil {
						t.Error(err)
						return
					}
					want := "the application's, a session: false"
					if i%2 == 0 {
						r.Header.Set("User-Agent", "kube-probe/1.30")
						want = "ok\n"
					}
					res, err := transport.RoundTrip(r)
					if err != nil {
						t.Error(err)
						return
					}
					p, _ := io.ReadAll(res.Body)
					_ = res.Body.Close()
					if string(p) != want {
						t.Errorf("request %d was answered %d %q, want %q", i, res.StatusCode, p, want)
					}
				})
			}
			all.Wait()
			transport.CloseIdleConnections()
			for deadline := time.Now().Add(20 * time.Second); g.Snapshot().Open > 0; {
				if time.Now().After(deadline) {
					t.Fatal("the connection stays open")
				}
				<-time.After(time.Millisecond)
			}
			if n := g.Snapshot().SessionsOpen; n != 0 {
				t.Errorf("%d sessions are open", n)
			}
		})
	}
}
