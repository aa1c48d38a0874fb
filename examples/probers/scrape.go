package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// scraper asks a server for its metrics on one connection that it keeps, so that
// scrapes add one connection in all to what is counted.
type scraper struct {
	nc   net.Conn
	br   *bufio.Reader
	addr string
}

func (s *server) scraper() (*scraper, error) {
	nc, err := net.DialTimeout("tcp", s.addr, patience)
	if err != nil {
		return nil, err
	}
	if s.tls {
		nc = tls.Client(nc, anyCertificate)
	}
	return &scraper{nc, bufio.NewReader(nc), s.addr}, nil
}

func (s *scraper) close() { _ = s.nc.Close() }

// counters are the samples of a scrape, by name and labels as they stand there.
type counters map[string]float64

func (s *scraper) get() (counters, error) {
	if err := s.hold(); err != nil {
		return nil, err
	}
	return s.finish()
}

// page asks for another page on the same connection.
func (s *scraper) page(path string) ([]byte, error) {
	if err := s.begin(path); err != nil {
		return nil, err
	}
	return s.end(path)
}

// hold sends a request but for its last bytes. A server that shuts down waits
// for the rest: finish then returns what it has counted in the end.
func (s *scraper) hold() error { return s.begin("/metrics") }

func (s *scraper) finish() (counters, error) {
	body, err := s.end("/metrics")
	if err != nil {
		return nil, err
	}
	c := make(counters)
	for line := range strings.Lines(string(body)) {
		name, value, ok := strings.Cut(line, "} ")
		if ok {
			name += "}"
		} else {
			name, value, _ = strings.Cut(line, " ")
		}
		if n, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil {
			c[name] = n
		}
	}
	return c, nil
}

func (s *scraper) begin(path string) error {
	_ = s.nc.SetDeadline(time.Now().Add(patience))
	_, err := fmt.Fprintf(s.nc, "GET %s HTTP/1.1\r\nHost: %s\r\n", path, s.addr)
	return err
}

func (s *scraper) end(path string) ([]byte, error) {
	if _, err := io.WriteString(s.nc, "\r\n"); err != nil {
		return nil, err
	}
	res, err := http.ReadResponse(s.br, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, res.Status)
	}
	return io.ReadAll(res.Body)
}

// The names of what is asked for by name.
const (
	metricAccepted = "quietws_connections_accepted_total"
	metricOpen     = "quietws_connections_open"
	metricSessions = "quietws_sessions_open"
)

// classes returns how many connections ended, by class.
func (c counters) classes() map[string]int {
	of := make(map[string]int)
	for name, n := range c {
		if rest, ok := strings.CutPrefix(name, `quietws_connections_closed_total{class="`); ok && n > 0 {
			of[strings.TrimSuffix(rest, `"}`)] = int(n)
		}
	}
	return of
}

// adds returns an error unless every connection is open or has one class.
func (c counters) adds() error {
	sum := int(c[metricOpen])
	for _, n := range c.classes() {
		sum += n
	}
	if sum != int(c[metricAccepted]) {
		return fmt.Errorf("%v accepted, but %d are open or have a class: %v", c[metricAccepted], sum, c.classes())
	}
	return nil
}

// settle scrapes until no more than open connections are open, the scraper's own
// among them.
func (s *scraper) settle(open int) (counters, error) {
	for end := time.Now().Add(patience); ; <-time.After(2 * time.Millisecond) {
		c, err := s.get()
		if err != nil || int(c[metricOpen]) <= open {
			return c, err
		}
		if time.Now().After(end) {
			return c, fmt.Errorf("%v connections stay open, want %d", c[metricOpen], open)
		}
	}
}

// still scrapes until as many are open for two seconds, and agreed agrees to what
// is counted.
func (s *scraper) still(agreed func(counters) bool) (counters, error) {
	open, since := -1.0, time.Now()
	for end := since.Add(patience); ; <-time.After(50 * time.Millisecond) {
		c, err := s.get()
		if err != nil {
			return c, err
		}
		if c[metricOpen] != open || !agreed(c) {
			open, since = c[metricOpen], time.Now()
		}
		if time.Since(since) > 2*time.Second {
			return c, nil
		}
		if time.Now().After(end) {
			return c, fmt.Errorf("it does not come to rest: %v are open", open)
		}
	}
}

// rest scrapes until no more connections are accepted, and only the scraper's own
// connection is open.
func (s *scraper) rest() (counters, error) {
	last, since := 0.0, time.Now()
	for {
		c, err := s.settle(1)
		if err != nil {
			return c, err
		}
		if c[metricAccepted] != last {
			last, since = c[metricAccepted], time.Now()
		}
		if time.Since(since) > 2*time.Second { // longer than a SYN waits to be sent again
			return c, nil
		}
		<-time.After(50 * time.Millisecond)
	}
}

// entry is a line of a server's log.
type entry struct {
	Level, Msg                    string
	Class, Reason, Remote, Method string
	Path                          string
	Count                         int
	text                          string
}

// about is what the line is about, for counting.
func (e entry) about() string { return strings.TrimSuffix(e.Class+"/"+e.Reason, "/") }

// entries returns what a server has logged, without the scrapes.
func (s *server) entries() (all []entry, err error) {
	for line := range strings.Lines(s.log.String()) {
		if !strings.HasSuffix(line, "\n") {
			break // it is being written
		}
		e := entry{text: strings.TrimSpace(line)}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return nil, fmt.Errorf("%s logged %q: %w", s.name, line, err)
		}
		if e.Path != "/metrics" && e.Path != "/livez" {
			all = append(all, e)
		}
	}
	return all, nil
}
