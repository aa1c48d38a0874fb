package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// hanging leaves connections without a request open, and a session that answers its
// goodbye: once that has ended, the server ends within a second.
func hanging(b *bench) error {
	const limit = time.Second
	say("%-8s %-6s %30s\n", "server", "", "exit after the last session")
	var errs error
	for _, name := range b.servers {
		for _, overTLS := range []bool{false, true} {
			took, err := b.hangingOne(name, overTLS)
			port := map[bool]string{false: "plain", true: "TLS"}[overTLS]
			if err == nil {
				say("%-8s %-6s %30s\n", name, port, round(took))
				if took > limit {
					err = fmt.Errorf("took %v to end", took)
				}
			}
			if err != nil {
				errs = errors.Join(errs, fmt.Errorf("%s, %s: %w", name, port, err))
			}
		}
	}
	return errs
}

func (b *bench) hangingOne(name string, overTLS bool) (time.Duration, error) {
	s, err := b.start(name, "", overTLS)
	if err != nil {
		return 0, err
	}
	defer s.kill()
	insecure := anyCertificate
	for _, said := range []string{"", "handshake", "GET /ws HTTP/1.1\r\nHost: localhost\r\n"} {
		nc, err := net.DialTimeout("tcp", s.addr, patience)
		if err != nil {
			return 0, err
		}
		defer func() { _ = nc.Close() }()
		if overTLS && said != "" {
			over := tls.Client(nc, insecure)
			if err := over.Handshake(); err != nil {
				return 0, err
			}
			nc = over
		}
		if said == "handshake" {
			said = ""
		}
		if _, err := io.WriteString(nc, said); err != nil {
			return 0, err
		}
	}
	all, err := openSessions(s, 1)
	if err != nil {
		return 0, err
	}
	<-time.After(time.Second) // what has only just come gets a moment
	s.terminate()
	status, err := s.wait(patience)
	if err != nil {
		return 0, err
	}
	if err := all.dismissed(1); err != nil {
		return 0, err
	}
	if status != 0 {
		return 0, fmt.Errorf("exit status %d: %s", status, s.log)
	}
	return s.at.Sub(all.last), nil
}
