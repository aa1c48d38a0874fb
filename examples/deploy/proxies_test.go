package deploy

import (
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// inFront is a proxy with the configuration of its folder, in front of two
// servers.
type inFront struct {
	folder, file string
	config       func(t *testing.T, file, front, a, b string) string
	args         []string // of the program, which the folder is named after
	asks         bool     // /readyz
}

var proxies = []inFront{
	{
		folder: "nginx", file: "nginx.conf",
		config: func(t *testing.T, file, front, a, b string) string {
			return with(t, file, "listen 8080", "listen "+front, "127.0.0.1:8081", a, "127.0.0.1:8082", b)
		},
		args: []string{"-p", ".", "-c", "nginx.conf", "-g", "daemon off; pid nginx.pid; error_log stderr;"},
	},
	{
		folder: "haproxy", file: "haproxy.cfg", asks: true,
		config: func(t *testing.T, file, front, a, b string) string {
			return with(t, file, "bind :8080", "bind "+front, "127.0.0.1:8081", a, "127.0.0.1:8082", b)
		},
		args: []string{"-db", "-f", "haproxy.cfg"},
	},
	{
		folder: "caddy", file: "Caddyfile", asks: true,
		config: func(t *testing.T, file, front, a, b string) string {
			return "{\n\tadmin off\n\tauto_https off\n}\n" +
				with(t, file, ":8080 {", "http://"+front+" {\n\tbind 127.0.0.1", "127.0.0.1:8081", a, "127.0.0.1:8082", b)
		},
		args: []string{"run", "--adapter", "caddyfile", "--config", "Caddyfile"},
	},
}

// A proxy with the configuration of the folder leaves a draining server out before it
// refuses handshakes: no new client is turned away, and clients with a session get their
// goodbye through the proxy.
func TestProxies(t *testing.T) {
	for _, p := range proxies {
		t.Run(p.folder, func(t *testing.T) {
			t.Parallel()
			p.run(t)
		})
	}
}

func (p inFront) run(t *testing.T) {
	a, b := startChat(t), startChat(t)
	front, dir := freeAddr(t), t.TempDir()
	write(t, dir, p.file, p.config(t, p.folder+"/"+p.file, front, a.addr, b.addr))
	proxy := start(t, dir, p.folder, p.args...)
	proxy.listening(t, front)
	if p.asks {
		for _, s := range []*server{a, b} {
			await(t, "the proxy has asked four times", func() bool { return s.metric(t, "quietws_probes_total") >= 4 })
		}
	}
	var codes []<-chan websocket.StatusCode
	for range 6 {
		codes = append(codes, open(t, front))
	}
	onA := int(a.metric(t, "quietws_sessions_open"))
	if onA == 0 || onA == len(codes) {
		t.Fatalf("%d of %d sessions on one of the two servers", onA, len(codes))
	}

	stop := steadily(front)
	a.terminate()
	a.ended(t)
	<-time.After(time.Second) // of clients who find one server
	made, failed := stop()
	if len(failed) > 0 {
		t.Errorf("%d of %d handshakes failed: %v\n%s", len(failed), made, failed[0], proxy.Log())
	}
	ended := 0
	for _, code := range codes {
		select {
		case c := <-code:
			if c != websocket.StatusGoingAway {
				t.Errorf("a session ended with %d", c)
			}
			ended++
		default:
		}
	}
	if ended != onA {
		t.Errorf("%d of %d sessions have ended", ended, onA)
	}
	if log := a.Log(); p.asks != strings.Contains(log, " probers=1 noticed=1\n") || !p.asks && strings.Contains(log, " probers=") {
		t.Errorf("whether the proxy asks, and has noticed, is not %t: %s", p.asks, log)
	}
	excerpt(t, p.folder, a.Log())
}
