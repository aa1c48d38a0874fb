package core

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// What handlers set on the copy of a request is on the original when they have
// returned, after a panic too.
func TestARequestsCopyIsTheRequest(t *testing.T) {
	var body bytes.Buffer
	body.WriteString("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n" + strings.Repeat("x", 1<<20) + "\r\n--b--\r\n")
	layers := map[string]func(*Guard, http.Handler) http.Handler{
		"bare":     func(_ *Guard, h http.Handler) http.Handler { return h },
		"Wrap":     (*Guard).Wrap,
		"Endpoint": (*Guard).Endpoint,
		"both":     func(g *Guard, h http.Handler) http.Handler { return g.Wrap(g.Endpoint(h)) },
	}
	for name, layer := range layers {
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
				srv.Close() // waits for the handlers, and net/http's own end of each
				got := <-seen
				if got.Pattern != "/room/{name}" || got.PathValue("name") != path[len("/room/"):] || got.MultipartForm == nil ||
					got.PostForm == nil || got.Form == nil || got.Body != http.NoBody || got.RemoteAddr != "the client's" {
					t.Errorf("%s, %s, HTTP/2 %t: outside there are pattern %q, name %q, forms %t %t %t, from %q", name, path, http2,
						got.Pattern, got.PathValue("name"), got.MultipartForm != nil, got.PostForm != nil, got.Form != nil, got.RemoteAddr)
				}
				if _, err := os.Stat(file); path != "/room/panic" && !os.IsNotExist(err) {
					t.Errorf("%s, %s, HTTP/2 %t: the temporary file is still there: %v", name, path, http2, err)
					_ = os.Remove(file)
				}
			}
		}
	}
}
