package probetest

import (
	"context"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
)

func TestRequestBytes(t *testing.T) {
	target := Target{Addr: "127.0.0.1:8080"}
	for _, row := range []struct {
		rule string
		r    Request
		want string
	}{
		{"the zero Request", Request{}, "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"},
		{"no Host", Request{NoHost: true, Proto: "HTTP/1.0"}, "GET / HTTP/1.0\r\n\r\n"},
		{"another Host", Request{Host: "a b"}, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
		{"lines as they stand, in order", Request{Header: []Field{{"b", "1"}, {"A", "2"}, {"b", ""}}},
			"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nb: 1\r\nA: 2\r\nb: \r\n\r\n"},
		{"a body has its length", Request{Method: "POST", Path: "/p", Host: "x", Body: "hello"},
			"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"},
	} {
		if got := string(row.r.Bytes(target)); got != row.want {
			t.Errorf("%s:\ngot  %q\nwant %q", row.rule, got, row.want)
		}
	}
}

func TestWithAndWithoutLeaveTheOriginal(t *testing.T) {
	r := Request{NoHost: true, Header: append(make([]Field, 0, 8), Field{"A", "1"}, Field{"a", "2"}, Field{"B", "3"})}
	first := r.With(Field{"C", "first"})
	_ = r.With(Field{"C", "second"})
	if got := first.Header[3].Value; got != "first" {
		t.Errorf("two requests made from one share their lines: C is %q", got)
	}
	before := string(r.Bytes(Target{}))
	more := r.Without("a").With(Field{"C", "4"})
	if got, want := string(more.Bytes(Target{})), "GET / HTTP/1.1\r\nB: 3\r\nC: 4\r\n\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if after := string(r.Bytes(Target{})); after != before {
		t.Errorf("the original became %q", after)
	}
}

func TestMethodsOnTheWire(t *testing.T) {
	for _, row := range []struct {
		run         func(context.Context, Target, string, string, ...Field) (Result, error)
		method, ua  string
		line, reply string
		body        string
	}{
		{Get, "GET", "a/1", "User-Agent: a/1\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok"},
		{Options, "OPTIONS", "", "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok"},
		{Head, "HEAD", "a/1", "User-Agent: a/1\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", ""},
	} {
		t.Run(row.method, func(t *testing.T) {
			target, got := record(t, row.reply)
			res, err := row.run(patient(t), target, "/livez", row.ua, Field{"X-More", "1"})
			if err != nil || res.Err != nil || res.Status != 200 || res.Body != row.body || res.Proto != "HTTP/1.1" {
				t.Errorf("got %+v, %v", res, err)
			}
			want := row.method + " /livez HTTP/1.1\r\nHost: " + target.Addr + "\r\n" + row.line + "X-More: 1\r\n\r\n"
			if s := <-got; string(s.bytes) != want || s.err != io.EOF {
				t.Errorf("the server read %q, %v; want %q and a FIN", s.bytes, s.err, want)
			}
		})
	}
}

func TestEndAfterTheAnswer(t *testing.T) {
	const reply = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"
	target, got := record(t, reply)
	if res, err := Do(patient(t), target, HAProxy("/")); err != nil || res.Body != "ok" {
		t.Fatal(res, err)
	}
	if s := <-got; !errors.Is(s.err, syscall.ECONNRESET) {
		t.Errorf("HAProxy ends with %v, want a reset", s.err)
	}
	target, got = record(t, reply)
	if res, err := Exchange(patient(t), target, []byte("x"), HalfClose); err != nil || res.Body != "ok" || res.Ending != ByFIN {
		t.Fatal(res, err)
	}
	if s := <-got; s.err != io.EOF {
		t.Errorf("the server sees half a close as %v", s.err)
	}
}

func TestAnEndlessAnswerIsCut(t *testing.T) {
	target, _ := record(t, "HTTP/1.1 200 OK\r\nContent-Length: 2097152\r\n\r\n"+strings.Repeat("a", 2<<20))
	if res, err := Do(patient(t), target, Request{}); err != nil || len(res.Body) != maxAnswer {
		t.Errorf("%d bytes kept, %v", len(res.Body), err)
	}
}
