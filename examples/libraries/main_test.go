package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPush(t *testing.T) {
	for g := range pushers {
		for n := range 9 {
			p := push(g, n, pushSizes[n%len(pushSizes)])
			if gotG, gotN, err := checkPush(p); err != nil || gotG != g || gotN != n {
				t.Errorf("push %d of %d: %d, %d, %v", n, g, gotG, gotN, err)
			}
		}
	}
	good := push(1, 2, 40)
	for at := range good {
		bad := slices.Clone(good)
		bad[at] ^= 1
		g, n, err := checkPush(bad)
		if at > 0 && err == nil && g == 1 && n == 2 {
			t.Errorf("a change of byte %d is not seen", at)
		}
	}
}

// What a client makes of a payload, a server gets, and the other way round.
func TestDialects(t *testing.T) {
	const payload = "e-some_payload"
	for _, row := range []struct {
		d             dialect
		answer, other string // a message with payload, one with none
		ready         bool   // the other says so
	}{
		{plain{}, payload, "", true},
		{centrifugal{}, `{"push":{"message":{"data":"` + payload + `"}}}` + "\n{}\n", `{"id":1,"connect":{"ping":25}}`, true},
		{graphQL{"graphql-ws", "start", "data"}, `{"id":"1","type":"data","payload":{"data":{"m":"` + payload + `"}}}`, `{"type":"connection_ack"}`, true},
		{graphQL{"graphql-transport-ws", "subscribe", "next"}, `{"id":"1","type":"next","payload":{"data":{"m":"` + payload + `"}}}`, `{"type":"ping"}`, false},
		{socketIO{}, `42["m","` + payload + `"]`, `40{"sid":"x"}`, true},
	} {
		h, err := row.d.decode([]byte(row.answer))
		if err != nil || len(h.payloads) != 1 || string(h.payloads[0]) != payload {
			t.Errorf("%T: %q, %v", row.d, h.payloads, err)
		}
		if !strings.Contains(string(row.d.encode(1, []byte(payload))), payload) {
			t.Errorf("%T sends %s", row.d, row.d.encode(1, []byte(payload)))
		}
		h, err = row.d.decode([]byte(row.other))
		if err != nil || h.ready != row.ready {
			t.Errorf("%T: %q is ready %v, %v", row.d, row.other, h.ready, err)
		}
		if row.d.binary() {
			continue
		}
		if _, err := row.d.decode([]byte("!")); err == nil {
			t.Errorf("%T takes nonsense", row.d)
		}
	}
}

func TestArguments(t *testing.T) {
	for _, s := range slices.Concat(quickPlan(), wholePlan()) {
		s = s.paced(50)
		if got, err := serverOf(s.args()[1:]); err != nil || got != s {
			t.Fatalf("%v becomes %v, %v", s, got, err)
		}
	}
	if _, err := serverOf([]string{"-library", "none"}); err == nil {
		t.Error("an unknown library is taken")
	}
}

// The quick run has what CI is to see.
func TestQuickPlan(t *testing.T) {
	plan := quickPlan()
	has := func(why string, f func(server) bool) {
		t.Helper()
		if !slices.ContainsFunc(plan, f) {
			t.Error("nothing is " + why)
		}
	}
	for _, l := range libraries {
		has(l.name, func(s server) bool { return s.library == l })
	}
	for _, f := range frameworks {
		has(f+", TLS", func(s server) bool { return s.framework == f && s.tls })
		has(f+", plain", func(s server) bool { return s.framework == f && !s.tls })
	}
	has("attached", func(s server) bool { return s.setup == attached })
	has("served", func(s server) bool { return s.setup == served })
	has("deflated", func(s server) bool { return s.deflate })
}

func TestJudge(t *testing.T) {
	good := row{server: server{library: libraries[0], setup: served}, sessions: 50, goodbyes: 50, intact: 50, nothingAfter: 50, answered: 50, byFIN: 50, drain: time.Second}
	for _, row := range []struct {
		name   string
		change func(*row)
		expect expectation
		want   string
	}{
		{"all well", func(*row) {}, goodbye, ""},
		{"no goodbye", func(r *row) { r.goodbyes-- }, goodbye, "with 1001: 49 of 50"},
		{"no goodbye, which is not asked for", func(r *row) { r.goodbyes = 0 }, intact, ""},
		{"a corrupt frame", func(r *row) { r.intact-- }, intact, "intact: 49"},
		{"after the close frame", func(r *row) { r.nothingAfter-- }, intact, "without anything after"},
		{"not answered", func(r *row) { r.answered-- }, goodbye, "answered"},
		{"a RST", func(r *row) { r.byFIN-- }, goodbye, "FIN"},
		{"a long drain", func(r *row) { r.drain = 9 * time.Second }, goodbye, "the drain takes 9s, more than 1s"},
		{"a long drain where the bare server is slow too", func(r *row) { r.drain, r.bare = 9*time.Second, 9*time.Second }, goodbye, ""},
	} {
		r := good
		row.change(&r)
		r.judge(row.expect)
		if err := r.err(); (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", row.name, err, row.want)
		}
	}
}

// What later versions say of an end shows without a change here.
func TestEnded(t *testing.T) {
	for line, want := range map[string]string{
		`{"End":"closed","Code":1000,"Duration":5}`:                               "closed 1000",
		`{"End":"closed","Code":1000,"By":"client","Answered":true,"Duration":5}`: "closed 1000 by client",
	} {
		var e ended
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.String() != want {
			t.Errorf("%s: %q, %v", line, e, err)
		}
		if (ending{end: "closed", code: 1000}).wrong(e.String()) || !(ending{end: "closed", code: 100}).wrong(e.String()) {
			t.Errorf("%q is judged wrongly", e)
		}
	}
}

func TestReplaced(t *testing.T) {
	got, err := replaced("before\n"+begin+"old\n"+end+"after\n", "new\n")
	if want := "before\n" + begin + "\nnew\n\n" + end + "after\n"; err != nil || got != want {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := replaced("nothing", "new\n"); err == nil {
		t.Error("a README without marks is taken")
	}
}

// TestMain is the child too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "server" {
		if err := serve(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// The application on each library echoes and pushes what the client wants, and a
// bare server ends without a goodbye.
func TestBare(t *testing.T) {
	for i, l := range libraries {
		if l.npm {
			continue
		}
		for _, f := range frameworks {
			if !l.on(f) {
				continue
			}
			r := server{library: l, framework: f, setup: bare, tls: i%2 == 0, deflate: l.deflate}.run(2)
			if r.err() != nil || r.intact != 2 || r.goodbyes != 0 {
				t.Errorf("%v: %v, %d intact, %d goodbyes", r.server, r.err(), r.intact, r.goodbyes)
			}
			break
		}
	}
}
