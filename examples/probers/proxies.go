package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gorilla/websocket"
)

// inFront is a proxy in front of a server.
type inFront struct {
	word    string // its name in the server's log, "" if it leaves no trace
	name    string // as a remedy calls it
	version func() string
	way     string
	tls     bool
	reason  string // why a session does not work, "" if it does
	config  func(t *trial, dir, front string) string
	// fix puts the text between a remedy's backquotes where the remedy says.
	fix   func(config string, quoted []string) string
	start func(b *bench, dir, front, config string) (*process, error)
}

func (p inFront) row() row {
	r := row{program: p.name, version: p.version, way: p.way, tls: p.tls, session: "ok", classes: []string{"session"}, do: p.try}
	if p.reason != "" {
		r.session, r.classes, r.lines = "fixed", []string{"handshake_refused", "session"}, 1
		r.detail = "reason=" + p.reason
		if p.word != "" {
			r.detail += " proxy=" + p.word
		}
	}
	return r
}

// try opens a session through the proxy. If that fails, the server's log must say why,
// and have the lines of configuration that fix it.
func (p inFront) try(t *trial) error {
	fronts, err := freeAddrs(1)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(t.dir, "proxy")
	if err != nil {
		return err
	}
	config := p.config(t, dir, fronts[0])
	err = p.session(t, dir, fronts[0], config)
	if p.reason == "" {
		if err == nil {
			t.session = "ok"
		}
		return err
	}
	if !errors.As(err, new(refusal)) {
		return fmt.Errorf("the session is not refused, but: %w", err)
	}
	own, _, err := t.logged(1)
	if err != nil {
		return err
	}
	if len(own) != 1 || own[0].Reason != p.reason || own[0].Proxy != p.word {
		return fmt.Errorf("logged %+v, want reason %s, proxy %q", own, p.reason, p.word)
	}
	quoted := quotedAfter(own[0].Remedy, p.name)
	if len(quoted) == 0 {
		return fmt.Errorf("no configuration for %s in %q", p.name, own[0].Remedy)
	}
	if err := p.session(t, dir, fronts[0], p.fix(config, quoted)); err != nil {
		return fmt.Errorf("with %q: %w", quoted, err)
	}
	t.session = "fixed"
	return nil
}

// refusal is a handshake that was answered with another status.
type refusal struct{ status int }

func (r refusal) Error() string { return fmt.Sprintf("the handshake was answered %d", r.status) }

// session runs the proxy and opens a session through it as a page of that
// address does.
func (p inFront) session(t *trial, dir, front, config string) error {
	proxy, err := p.start(t.bench, dir, front, config)
	if err != nil {
		return err
	}
	defer proxy.stop()
	dialer := websocket.Dialer{HandshakeTimeout: patience}
	ws, res, err := dialer.Dial("ws://"+front+"/ws", http.Header{"Origin": {"http://" + front}})
	switch {
	case err != nil && res != nil:
		return refusal{res.StatusCode}
	case err != nil:
		return fmt.Errorf("%w: %s", err, proxy.log)
	}
	defer func() { _ = ws.Close() }()
	if err := echoes(ws); err != nil {
		return err
	}
	return over(ws)
}

var backquoted = regexp.MustCompile("`([^`]+)`")

// quotedAfter returns the text between backquotes after a name in a remedy.
func quotedAfter(remedy, name string) (quoted []string) {
	_, rest, _ := strings.Cut(remedy, name)
	for _, q := range backquoted.FindAllStringSubmatch(rest, -1) {
		quoted = append(quoted, q[1])
	}
	return quoted
}

// proxied is every proxy, configured correctly and as it often is.
func proxied() group {
	var rows []row
	for _, overTLS := range []bool{false, true} {
		for _, p := range []inFront{
			nginxFront("without its Upgrade lines", "upgrade_stripped"),
			nginxFront("with its Upgrade lines, without Host", "origin_forbidden", nginxUpgrade...),
			nginxFront("with its Upgrade and Host lines", "", append(nginxUpgrade, "proxy_set_header Host $http_host;")...),
			apacheFront("without upgrade=websocket", "upgrade_stripped", "", ""),
			apacheFront("with upgrade=websocket", "", " upgrade=websocket", "ProxyPreserveHost On"),
			haproxyFront(),
			caddyFront(),
		} {
			p.tls = overTLS
			rows = append(rows, p.row())
		}
	}
	rows = append(rows, varnishFront("without pipe", "upgrade_stripped", "").row(), varnishFront("with pipe", "", varnishPipe).row())
	return group{
		programs: []debian{{"nginx", "nginx-light"}, {"apache2", "apache2"}, {"haproxy", "haproxy"}, {"caddy", "caddy"}, {"varnishd", "varnish"}},
		rows:     rows,
	}
}

// runs returns what starts a program with its configuration in a file.
func runs(file string, args ...string) func(b *bench, dir, front, config string) (*process, error) {
	return func(_ *bench, dir, front, config string) (*process, error) {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(config), 0o600); err != nil {
			return nil, err
		}
		return startProcess(dir, []string{front}, args[0], args[1:]...)
	}
}

var nginxUpgrade = []string{
	"proxy_http_version 1.1;", "proxy_set_header Upgrade $http_upgrade;", `proxy_set_header Connection "upgrade";`,
}

func nginxFront(way, reason string, lines ...string) inFront {
	return inFront{
		name: "nginx", version: asked("nginx", "-v"), way: way, reason: reason,
		config: func(t *trial, dir, front string) string {
			return fmt.Sprintf(`daemon off; user root; pid %[1]s/pid; error_log stderr; events {}
http {
  access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
  server { listen %[2]s; location / { proxy_pass %[3]s; %[4]s } }
}
`, dir, front, t.server.url("http"), strings.Join(lines, " "))
		},
		fix: func(config string, quoted []string) string {
			return strings.Replace(config, "location / { ", "location / { "+quoted[0]+" ", 1)
		},
		start: runs("nginx.conf", "nginx", "-p", ".", "-c", "nginx.conf"),
	}
}

func apacheFront(way, reason, parameter, line string) inFront {
	word := ""
	if reason == "upgrade_stripped" {
		word = "apache"
	}
	return inFront{
		name: "Apache", version: asked("apache2", "-v"), word: word, way: way, reason: reason,
		config: func(t *trial, dir, front string) string {
			config := fmt.Sprintf("ServerRoot %s\nServerName localhost\nPidFile pid\nErrorLog /dev/stderr\nListen %s\nUser www-data\nGroup www-data\n", dir, front)
			for _, m := range []string{"mpm_event", "authz_core", "proxy", "proxy_http", "socache_shmcb", "ssl"} {
				config += fmt.Sprintf("LoadModule %[1]s_module /usr/lib/apache2/modules/mod_%[1]s.so\n", m)
			}
			config += "SSLProxyEngine on\nSSLProxyVerify none\nSSLProxyCheckPeerName off\nSSLProxyCheckPeerExpire off\n"
			return config + "ProxyPass / " + t.server.url("http") + "/" + parameter + "\n" + line + "\n"
		},
		fix: func(config string, quoted []string) string { // a parameter of the ProxyPass line, and a line
			lines := strings.Split(config, "\n")
			for i, l := range lines {
				if strings.HasPrefix(l, "ProxyPass ") {
					lines[i] += " " + quoted[0]
				}
			}
			return strings.Join(append(lines, quoted[1]), "\n") + "\n"
		},
		start: func(b *bench, dir, front, config string) (*process, error) {
			return runs("httpd.conf", "apache2", "-f", filepath.Join(dir, "httpd.conf"), "-DFOREGROUND")(b, dir, front, config)
		},
	}
}

const varnishPipe = `sub vcl_recv { if (req.http.Upgrade) { return (pipe); } }
sub vcl_pipe { set bereq.http.Upgrade = req.http.Upgrade; set bereq.http.Connection = req.http.Connection; }
`

func varnishFront(way, reason, lines string) inFront {
	word := ""
	if reason != "" {
		word = "varnish"
	}
	return inFront{
		name: "Varnish", version: asked("varnishd", "-V"), word: word, way: way, reason: reason,
		config: func(t *trial, _, _ string) string {
			host, port := t.server.hostPort()
			return fmt.Sprintf("vcl 4.1;\nbackend default { .host = %q; .port = \"%d\"; }\n%s", host, port, lines)
		},
		fix: func(config string, quoted []string) string { return config + quoted[0] + "\n" },
		start: func(b *bench, dir, front, config string) (*process, error) {
			return runs("default.vcl", "varnishd", "-F", "-j", "none", "-n", dir, "-a", front, "-f", filepath.Join(dir, "default.vcl"), "-s", "malloc,16m")(b, dir, front, config)
		},
	}
}

func haproxyFront() inFront {
	return inFront{
		name: "HAProxy", version: asked("haproxy", "-v"), way: "as it comes",
		config: func(t *trial, _, front string) string {
			over := ""
			if t.tls {
				over = " ssl verify none"
			}
			return "defaults\n  mode http\n  timeout connect 5s\n  timeout client 1m\n  timeout server 1m\n" +
				"listen all\n  bind " + front + "\n  server s " + t.server.addr + over + "\n"
		},
		start: runs("haproxy.cfg", "haproxy", "-db", "-f", "haproxy.cfg"),
	}
}

func caddyFront() inFront {
	return inFront{
		name: "Caddy", version: asked("caddy", "version"), way: "as it comes",
		config: func(t *trial, _, front string) string {
			return caddyGlobal + caddySite(front, caddyProxy(t.server))
		},
		start: func(b *bench, _, front, config string) (*process, error) {
			return b.startCaddy(config, []string{front})
		},
	}
}

const caddyGlobal = "{\n  admin off\n  auto_https off\n}\n"

// caddySite is what listens on an address, and there alone.
func caddySite(front, does string) string {
	return "http://" + front + " {\nbind 127.0.0.1\n" + does + "}\n"
}

// caddyProxy is a proxy to a server, in a site of a Caddyfile.
func caddyProxy(s *server, more ...string) string {
	if s.tls {
		more = append(more, "transport http {\n tls_insecure_skip_verify\n}")
	}
	return "reverse_proxy " + s.url("http") + " {\n" + strings.Join(more, "\n") + "\n}\n"
}

func (b *bench) startCaddy(config string, fronts []string) (*process, error) {
	dir, err := os.MkdirTemp(b.dir, "caddy")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	return startProcess(dir, fronts, "caddy", "run", "--adapter", "caddyfile", "--config", file)
}

var anyCertificate = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // a certificate of ours, on loopback
