package core

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// What handlers set on the copy of a request is on the original after they have returned,
// also after a panic.
func TestARequestsCopyIsTheRequest(t *testing.T) {
	var body bytes.Buffer
	body.WriteString("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n" + strings.Repeat("x", 1<<20) + "\r\n--b--\r\n")
	layers := map[string]func(*Guard, http.Handler) http.Handler{
		"bare":     func(_ *Guard, h http.Handler) http.Handler { return h },
		"Wrap":     (*Guard).Wrap,
		"Endpoint": (*Guard).Endpoint,
		"both":     func(g *Guard, h http.Handler) http.Handler { return g.Wrap(g.Endpoint(h)) },
	}
	removed := make(map[bool]bool) // by the bare server; not over HTTP/2 with Go 1.27.1
	for _, name := range []string{"bare", "Wrap", "Endpoint", "both"} {
		layer := layers[name]
		for _, http2 := range []bool{false, true} {
			for _, path := range []string{"/room/one", "/room/panic"} {
				g := quietGuard(t, Config{})
				var file string
				mux := http.NewServeMux()
				mux.HandleFunc("/room/{name}/{rest...}", http.NotFound)
				mux.HandleFunc("/room/{name}", func(_ http.ResponseWriter, r *http.Request) {
					if err := r.ParseMultipartForm(1); err != nil {
						t.Fatal(err)
					}
					f, err := r.MultipartForm.File["file"][0].Open()
					if err != nil {
						t.Fatal(err)
					}
					file = f.(*os.File).Name()
					_ = f.Close()
					r.Body = http.NoBody
					r.RemoteAddr = "the client's"
					if r.PathValue("name") == "panic" {
						panic(http.ErrAbortHandler)
					}
				})
				inner := layer(g, mux)
				seen := make(chan *http.Request, 1)
				srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer func() { seen <- r.Clone(r.Context()) }()
					inner.ServeHTTP(w, r)
				}))
				srv.EnableHTTP2 = http2
				srv.StartTLS()
				r, _ := http.NewRequest("POST", srv.URL+path, bytes.NewReader(body.Bytes()))
				r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
				r.Header.Set("Sec-WebSocket-Key", goodKey) // a candidate
				if res, err := srv.Client().Do(r); err == nil {
					_ = res.Body.Close()
				}
				srv.Close() // waits for the handlers, and for net/http after each
				got := <-seen
				if got.Pattern != "/room/{name}" || got.PathValue("name") != path[len("/room/"):] || got.MultipartForm == nil ||
					got.PostForm == nil || got.Form == nil || got.Body != http.NoBody || got.RemoteAddr != "the client's" {
					t.Errorf("%s, %s, HTTP/2 %t: outside there are pattern %q, name %q, forms %t %t %t, from %q", name, path, http2,
						got.Pattern, got.PathValue("name"), got.MultipartForm != nil, got.PostForm != nil, got.Form != nil, got.RemoteAddr)
				}
				if path == "/room/panic" {
					continue
				}
				_, err := os.Stat(file)
				_ = os.Remove(file)
				gone := os.IsNotExist(err)
				if name == "bare" {
					removed[http2] = gone
				}
				if gone != removed[http2] {
					t.Errorf("%s, %s, HTTP/2 %t: the temporary file is removed %t, on the bare server %t", name, path, http2, gone, removed[http2])
				}
			}
		}
	}
}
