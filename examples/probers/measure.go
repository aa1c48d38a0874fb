package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// mark is what a server had counted and logged at a time.
type mark struct {
	closed map[string]int // connections, by class
	probes map[string]int // by class and prober
	open   int
	logged int // bytes of its log
	scrape int // how many scrapes there were, this one too
}

var sample = regexp.MustCompile(`^(quietws_[a-z_]+)(?:\{(.*)\})? (\d+)`)
var label = regexp.MustCompile(`([a-z]+)="([^"]*)"`)

// scrape asks a server for its metrics, on a connection of its own.
func (s *server) scrape() (mark, error) {
	s.scrapes++
	m := mark{closed: make(map[string]int), probes: make(map[string]int), scrape: s.scrapes}
	res, err := client.Get(s.url("http") + "/metrics")
	if err != nil {
		return m, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return m, fmt.Errorf("/metrics: %s", res.Status)
	}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		found := sample.FindStringSubmatch(lines.Text())
		if found == nil {
			continue
		}
		labels := make(map[string]string)
		for _, l := range label.FindAllStringSubmatch(found[2], -1) {
			labels[l[1]] = l[2]
		}
		n, _ := strconv.Atoi(found[3])
		switch found[1] {
		case "quietws_connections_open":
			m.open = n
		case "quietws_connections_closed_total":
			m.closed[labels["class"]] += n
		case "quietws_probes_total":
			m.probes[labels["class"]+" "+labels["prober"]] += n
		}
	}
	m.logged = len(s.log.String())
	return m, lines.Err()
}

// settle waits until no more than open connections are open besides the scrape's
// own.
func (s *server) settle(open int) (mark, error) {
	for end := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) {
		m, err := s.scrape()
		if err != nil || m.open <= open+1 {
			return m, err
		}
		if time.Now().After(end) {
			return m, fmt.Errorf("%d connections stay open", m.open-1)
		}
	}
}

// since returns the classes that were counted between two marks, without the
// scrapes themselves, each with the prober where it is a probe's.
func (m mark) since(before mark) []string {
	var classes []string
	for _, class := range slices.Sorted(maps.Keys(m.closed)) {
		n := m.closed[class] - before.closed[class]
		if class == "http" {
			n -= m.scrape - before.scrape
		}
		if n <= 0 {
			continue
		}
		named := false
		for _, probe := range slices.Sorted(maps.Keys(m.probes)) {
			if strings.HasPrefix(probe, class+" ") && m.probes[probe] > before.probes[probe] {
				classes = append(classes, probe)
				named = true
			}
		}
		if !named {
			classes = append(classes, class)
		}
	}
	return classes
}

// line is one of a server's log.
type line struct {
	Level, Msg, Path                     string
	Class, Reason, Prober, Proxy, Remedy string
	Remote                               string
}

// lines returns the lines of the log from a mark on: the server's and the
// guard's, and those of its access log but for the scrapes.
func (s *server) lines(from mark) (own, access []line, err error) {
	for text := range strings.Lines(s.log.String()[from.logged:]) {
		if !strings.HasSuffix(text, "\n") {
			break // it is being written
		}
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			return nil, nil, fmt.Errorf("%s logged %q: %w", s.name, text, err)
		}
		switch {
		case l.Msg != "request":
			own = append(own, l)
		case l.Path != "/metrics":
			access = append(access, l)
		}
	}
	return own, access, nil
}
