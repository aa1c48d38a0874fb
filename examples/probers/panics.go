package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/quietws/quietws/core/probetest"
)

// panicSecret is in what the handlers of subject panic with.
const panicSecret = "secret"

// panicking asks for what panics: by turns a request, a session of the adapter's
// and one of the application's own library. Nothing of the panic reaches a client.
func panicking(s *server) (int, error) {
	scrape, err := s.scraper()
	if err != nil {
		return 0, err
	}
	defer scrape.close()
	for i := range breaks {
		path := []string{"/panic", "/ws/panic", "/own/panic"}[i%3]
		var got string
		if path == "/panic" {
			got, err = panicRequest(s.target())
		} else {
			got, err = panicSession(s.target(), path)
		}
		if err == nil && strings.Contains(got, panicSecret) {
			err = fmt.Errorf("a client got %q", got)
		}
		if err != nil {
			return i, fmt.Errorf("%s: %w", path, err)
		}
	}
	for end := time.Now().Add(patience); ; <-time.After(10 * time.Millisecond) {
		c, err := scrape.get()
		if err != nil {
			return breaks, err
		}
		if n := c.classes()["handler_panic"]; n == breaks {
			return breaks, c.adds()
		}
		if time.Now().After(end) {
			return breaks, fmt.Errorf("%d panics were seen of %d: %v", c.classes()["handler_panic"], breaks, c.classes())
		}
	}
}

// panicRequest returns the answer to an ordinary request.
func panicRequest(t probetest.Target) (string, error) {
	res, err := probetest.Get(context.Background(), t, "/panic", "")
	return fmt.Sprint(res.Status, res.Header, res.Body), err
}

// panicSession opens a session, says something, and returns all that comes back.
func panicSession(t probetest.Target, path string) (string, error) {
	t.Path = path
	session, _, err := probetest.Open(context.Background(), t)
	if err != nil {
		return "", err
	}
	defer func() { _, _ = session.Vanish(probetest.FIN) }()
	if err := session.SendText(context.Background(), "panic"); err != nil {
		return "", err
	}
	_ = session.Conn().SetReadDeadline(time.Now().Add(patience))
	all, err := io.ReadAll(session.Conn())
	if err != nil {
		return "", fmt.Errorf("the session does not end: %w", err)
	}
	return string(all), nil
}

// panicsLogged returns an error unless the log has all panics, the first at once
// and the others in one line.
func panicsLogged(s *server) error {
	all, err := s.entries()
	if err != nil {
		return err
	}
	lines, panics := 0, 0
	for _, e := range all {
		if e.Level != "ERROR" {
			continue
		}
		if e.Class != "handler_panic" {
			err = errors.Join(err, fmt.Errorf("logged: %s", e.text))
		}
		lines++
		panics += max(e.Count, 1)
	}
	if lines != 2 || panics != breaks {
		err = errors.Join(err, fmt.Errorf("%d panics in %d lines, want %d in 2", panics, lines, breaks))
	}
	return err
}
