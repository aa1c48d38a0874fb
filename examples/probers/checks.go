package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// haproxyChecks are HAProxy's own, by the mode of their backend.
var haproxyChecks = []struct {
	name, mode, option string
	tls                bool // on the TLS port
	server             string
	class              string
}{
	// It answers the SYN-ACK with a RST: the server never accepts a connection.
	{name: "tcp", mode: "tcp"},
	{name: "tcp", mode: "tcp", tls: true},
	{name: "send-proxy", mode: "tcp", server: "send-proxy", class: "proxy_probe unknown"},
	{name: "send-proxy-v2", mode: "tcp", server: "send-proxy-v2", class: "proxy_probe unknown"},
	{name: "send-proxy", mode: "tcp", tls: true, server: "send-proxy", class: "proxy_probe unknown"},
	{name: "send-proxy-v2", mode: "tcp", tls: true, server: "send-proxy-v2", class: "proxy_probe unknown"},
	{name: "check-ssl", mode: "tcp", tls: true, server: "check-ssl verify none", class: "tls_probe unknown"},
	{name: "httpchk", mode: "http", option: "option httpchk", class: "http_probe haproxy"},
	{name: "httpchk GET /readyz", mode: "http", option: "option httpchk GET /readyz", class: "http_probe unknown"},
	{name: "httpchk HEAD /healthz", mode: "http", option: "option httpchk HEAD /healthz", class: "http_probe unknown"},
	{name: "httpchk OPTIONS *", mode: "http", option: "option httpchk OPTIONS *", class: "http_probe unknown"},
	{name: "httpchk GET /livez", mode: "http", option: "option httpchk GET /livez", tls: true, server: "check-ssl verify none", class: "http_probe unknown"},
}

// haproxyProber lets HAProxy check every server in all its ways for a while. Each is up
// all the time, and each way is logged once.
func haproxyProber() group {
	var rows []row
	for _, c := range haproxyChecks {
		rows = append(rows, row{way: c.name, tls: c.tls, verdict: up, classes: []string{c.class},
			with: "  mode " + c.mode + "\n  " + c.option + "\n  server s %s check inter 500ms " + c.server + "\n"})
	}
	rows = probers("HAProxy", asked("haproxy", "-v"), rows)
	for i := range rows {
		if rows[i].classes[0] == "" {
			rows[i].classes, rows[i].lines = nil, 0
		}
	}
	return group{
		programs: []debian{{"haproxy", "haproxy"}},
		rows:     rows,
		all: func(b *bench, all []*trial) error {
			config := ""
			for i, t := range all {
				config += fmt.Sprintf("backend b%d\n"+t.with, i, t.server.addr)
			}
			proxy, err := b.startHAProxy(config)
			if err != nil {
				return err
			}
			<-time.After(b.long)
			stats, err := proxy.stats()
			err = errors.Join(err, proxy.rest(len(all)))
			proxy.kill()
			if err != nil {
				return err
			}
			for i, t := range all {
				got := stats[fmt.Sprintf("b%d/s", i)]
				if t.verdict = down; got.status == "UP" && got.failed == "0" {
					t.verdict = up
				}
			}
			return nil
		},
	}
}

// caddyProber lets Caddy's active health checks ask every server. Whether it
// takes a server for healthy shows when it is asked to pass a request on.
func caddyProber() group {
	var rows []row
	for _, overTLS := range []bool{false, true} {
		rows = append(rows, row{way: "health_uri /readyz", tls: overTLS, verdict: up, classes: []string{"http_probe unknown"}})
	}
	return group{
		programs: []debian{{"caddy", "caddy"}},
		rows:     probers("Caddy", asked("caddy", "version"), rows),
		all: func(b *bench, all []*trial) error {
			fronts, err := freeAddrs(len(all))
			if err != nil {
				return err
			}
			config := caddyGlobal
			for i, t := range all {
				config += caddySite(fronts[i], caddyProxy(t.server, "health_uri /readyz", "health_interval 500ms"))
			}
			caddy, err := b.startCaddy(config, fronts)
			if err != nil {
				return err
			}
			defer caddy.stop()
			<-time.After(b.long)
			for i, t := range all {
				if t.verdict = down; !strings.Contains(caddy.log.String(), t.server.addr+`"`) && passes(fronts[i]) {
					t.verdict = up
				}
			}
			return nil
		},
	}
}

// passes reports whether a request for health comes through a proxy.
func passes(front string) bool {
	res, err := client.Get("http://" + front + "/healthz")
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// monitProber lets Monit check every server.
func monitProber() group {
	ways := []struct {
		name, port, class string
		tls               bool
	}{
		{name: "port", class: "tcp_probe unknown"},
		{name: "port, with ssl", port: " with ssl options {verify: disable}", tls: true, class: "tls_probe unknown"},
		{name: "protocol http /readyz", port: ` protocol http request "/readyz"`, class: "http_probe unknown"},
		{name: "protocol https /readyz", port: ` with ssl options {verify: disable} protocol https request "/readyz"`, tls: true, class: "http_probe unknown"},
	}
	var rows []row
	for _, w := range ways {
		rows = append(rows, row{way: w.name, tls: w.tls, verdict: up, classes: []string{w.class}, with: w.port})
	}
	return group{
		programs: []debian{{"monit", "monit"}},
		rows:     probers("Monit", asked("monit", "-V"), rows),
		all: func(b *bench, all []*trial) error {
			dir := filepath.Join(b.dir, "monit")
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return err
			}
			config := fmt.Sprintf("set daemon 1\nset log %[1]s/log\nset pidfile %[1]s/pid\nset idfile %[1]s/id\nset statefile %[1]s/state\n", dir)
			for i, t := range all {
				host, port := t.server.hostPort()
				config += fmt.Sprintf("check host h%d with address %s\n  if failed port %d%s then alert\n", i, host, port, t.with)
			}
			file := filepath.Join(dir, "monitrc")
			if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
				return err
			}
			monit, err := startProcess(dir, nil, "monit", "-I", "-c", file)
			if err != nil {
				return err
			}
			<-time.After(b.long)
			monit.stop()
			said, err := os.ReadFile(filepath.Join(dir, "log"))
			if err != nil {
				return err
			}
			for i, t := range all {
				if t.verdict = up; strings.Contains(string(said), fmt.Sprintf("'h%d' failed", i)) {
					t.verdict = down
				}
			}
			return nil
		},
	}
}
