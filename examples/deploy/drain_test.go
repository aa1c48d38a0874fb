package deploy

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"
)

// fall is core.DrainConfig's Fall where none is set, as in the example server.
const fall = 3

// times are those of a manifest, in the terms of a drain.
type times struct {
	drain   time.Duration // the server's -drain
	preStop time.Duration // passes before the server hears of its end
	grace   time.Duration // from the beginning of its end to SIGKILL; 0: there is none
	asked   []asked
}

// asked is a prober of /readyz that takes the server out after fall answers of 503.
type asked struct {
	who   string
	every time.Duration
	fall  int
}

// wrong says where a drain has not the time that it needs.
func (x times) wrong() (all []string) {
	room := x.drain - x.drain/4 - time.Second // what the goodbyes and their answers leave, as core.Guard.Drain has it
	for _, a := range x.asked {
		if a.every <= 0 || a.fall <= 0 {
			all = append(all, fmt.Sprintf("%s asks every %v and falls after %d", a.who, a.every, a.fall))
		}
		if need := fall * a.every; need > room {
			all = append(all, fmt.Sprintf("%s needs %v to notice, and -drain %v has room for %v", a.who, need, x.drain, room))
		}
		if a.fall > fall {
			all = append(all, fmt.Sprintf("%s falls after %d answers, and the drain waits for %d", a.who, a.fall, fall))
		}
	}
	if need := x.preStop + x.drain + time.Second; x.grace != 0 && need > x.grace {
		all = append(all, fmt.Sprintf("the end takes %v, and SIGKILL comes after %v", need, x.grace))
	}
	return all
}

func (x times) check(t *testing.T) {
	t.Helper()
	for _, wrong := range x.wrong() {
		t.Error(wrong)
	}
}

// drainOf is what arguments of the server say of its drain.
func drainOf(t *testing.T, args []string) time.Duration {
	t.Helper()
	i := slices.Index(args, "-drain")
	if i < 0 || i+1 == len(args) {
		t.Fatalf("no -drain in %q", args)
	}
	d, err := time.ParseDuration(args[i+1])
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// find is what a pattern's group has in a text.
func find(t *testing.T, text, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no match for %s in\n%s", pattern, text)
	}
	return m[1]
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func duration(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func seconds[T int | int32 | int64](n T) time.Duration { return time.Duration(n) * time.Second }

// The proxies' servers run with the default drain, and are not killed.
func TestProxiesTimes(t *testing.T) {
	const drain = 9 * time.Second
	haproxy := read(t, "haproxy/haproxy.cfg")
	times{drain: drain, asked: []asked{{
		"HAProxy", duration(t, find(t, haproxy, `inter (\S+)`)), number(t, find(t, haproxy, `fall (\d+)`)),
	}}}.check(t)
	times{drain: drain, asked: []asked{{ // it falls at once
		"Caddy", duration(t, find(t, read(t, "caddy/Caddyfile"), `health_interval (\S+)`)), 1,
	}}}.check(t)
}

// The arithmetic itself: what would not do is seen.
func TestTimes(t *testing.T) {
	for _, row := range []struct {
		rule string
		x    times
		bad  bool
	}{
		{"the defaults of Kubernetes, as they are often copied", times{drain: 9 * time.Second, grace: 30 * time.Second, asked: []asked{{"", 10 * time.Second, 3}}}, true},
		{"one that asks every second", times{drain: 9 * time.Second, grace: 30 * time.Second, asked: []asked{{"", time.Second, 3}}}, false},
		{"one that is slower to fall than the drain waits", times{drain: 20 * time.Second, asked: []asked{{"", time.Second, 5}}}, true},
		{"SIGKILL comes first", times{drain: 9 * time.Second, grace: 9 * time.Second}, true},
		{"and with what passes before", times{drain: 9 * time.Second, preStop: 20 * time.Second, grace: 29 * time.Second}, true},
	} {
		if wrong := row.x.wrong(); len(wrong) > 0 != row.bad {
			t.Errorf("%s: %q, want something: %t", row.rule, wrong, row.bad)
		}
	}
}
