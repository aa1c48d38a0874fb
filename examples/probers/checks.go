package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// haproxyChecks are HAProxy's own, by the mode of their backend.
var haproxyChecks = []struct {
	name, mode, option string
	tls                bool // on the TLS port
	server             string
}{
	{name: "tcp", mode: "tcp"},
	{name: "tcp on TLS", mode: "tcp", tls: true},
	{name: "send-proxy", mode: "tcp", server: "send-proxy"},
	{name: "send-proxy-v2", mode: "tcp", server: "send-proxy-v2"},
	{name: "check-ssl", mode: "tcp", tls: true, server: "check-ssl verify none"},
	{name: "httpchk", mode: "http", option: "option httpchk"},
	{name: "httpchk GET /readyz", mode: "http", option: "option httpchk GET /readyz"},
	{name: "httpchk HEAD /healthz", mode: "http", option: "option httpchk HEAD /healthz"},
	{name: "httpchk OPTIONS *", mode: "http", option: "option httpchk OPTIONS *"},
	{name: "httpchk GET /livez on TLS", mode: "http", option: "option httpchk GET /livez", tls: true, server: "check-ssl verify none"},
}

// checks lets HAProxy check every server in all its ways for a while. Each is
// up all the time, and each way is told once.
func checks(b *bench) error {
	var errs error
	config := ""
	running := make(map[string]*server)
	for _, name := range b.servers {
		for _, overTLS := range []bool{false, true} {
			s, err := b.start(name, "", overTLS)
			if err != nil {
				return err
			}
			defer s.kill()
			running[port(name, overTLS)] = s
		}
		for i, c := range haproxyChecks {
			config += fmt.Sprintf("backend %s\n  mode %s\n", backend(name, i), c.mode)
			if c.option != "" {
				config += "  " + c.option + "\n"
			}
			config += fmt.Sprintf("  server s %s check inter 1s %s\n", running[port(name, c.tls)].addr, c.server)
		}
	}
	proxy, err := b.startHAProxy(config)
	if err != nil {
		return err
	}
	<-time.After(b.long)
	stats, err := proxy.stats()
	proxy.kill()
	if err != nil {
		return err
	}
	fmt.Printf("%-8s %-26s %-4s %7s\n", "server", "check", "", "failed")
	for _, name := range b.servers {
		for i, c := range haproxyChecks {
			got := stats[backend(name, i)+"/s"]
			fmt.Printf("%-8s %-26s %-4s %7s\n", name, c.name, got.status, got.failed)
			if got.status != "UP" || got.failed != "0" {
				errs = errors.Join(errs, fmt.Errorf("%s, %s: %s, %s checks failed", name, c.name, got.status, got.failed))
			}
		}
	}
	fmt.Printf("\n%-14s %s\n", "log of", "lines")
	for _, at := range slices.Sorted(maps.Keys(running)) {
		s := running[at]
		s.terminate()
		if status, err := s.wait(patience); err != nil || status != 0 {
			errs = errors.Join(errs, fmt.Errorf("%s: exit status %d: %w", at, status, err))
		}
		told, err := s.told()
		if err != nil {
			return err
		}
		var words []string
		for _, what := range slices.Sorted(maps.Keys(told)) {
			words = append(words, fmt.Sprintf("%d %s", told[what], what))
			if told[what] > 1 && what != "INFO request" || strings.HasPrefix(what, "WARN") || strings.HasPrefix(what, "ERROR") {
				errs = errors.Join(errs, fmt.Errorf("%s: told %d times: %s", at, told[what], what))
			}
		}
		fmt.Printf("%-14s %s\n", at, strings.Join(words, ", "))
	}
	return errs
}

func port(name string, overTLS bool) string {
	if overTLS {
		return name + " TLS"
	}
	return name
}

// backend is what HAProxy calls the backend of a check.
func backend(name string, check int) string { return fmt.Sprintf("%s-%d", name, check) }

// told counts what a server has logged, by message and class: the same twice is
// once too often.
func (s *server) told() (map[string]int, error) {
	told := make(map[string]int)
	for line := range strings.Lines(s.log.String()) {
		var l struct{ Level, Msg, Class, Reason, Prober string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			return nil, fmt.Errorf("%s logged %q: %w", s.name, line, err)
		}
		what := l.Level + " " + l.Msg
		for _, word := range []string{l.Class, l.Reason, l.Prober} {
			if word != "" {
				what += " " + word
			}
		}
		told[what]++
	}
	return told, nil
}
