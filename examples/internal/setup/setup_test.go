package setup

import (
	"bytes"
	"flag"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	const cert, key = "cert.pem", "key.pem"
	for _, row := range []struct {
		rule string
		args []string
		want Options
		err  string
	}{
		{rule: "a certificate without its key", args: []string{"-cert", cert}, err: "go together"},
		{rule: "a key without its certificate", args: []string{"-key", key}, err: "go together"},
		{rule: "a word that is no flag", args: []string{"-json", "8080"}, err: "8080"},
		{rule: "a port without a colon", args: []string{"-addr", "8080"}, err: ":8080"},
		{rule: "a host without a port", args: []string{"-addr", "localhost"}, err: "host:port"},
		{rule: "an IPv6 address without a port", args: []string{"-addr", "::1"}, err: "host:port"},
		{rule: "a flag that is none", args: []string{"-nope"}, err: "-nope"},
		{rule: "the defaults", want: Options{Addr: ":8080", Drain: 9 * time.Second, Collapse: time.Minute}},
		{
			rule: "all of them", args: []string{"-addr", ":1", "-cert", cert, "-key", key, "-drain", "1s", "-collapse", "2s"},
			want: Options{Addr: ":1", Cert: cert, Key: key, Drain: time.Second, Collapse: 2 * time.Second},
		},
	} {
		t.Run(row.rule, func(t *testing.T) {
			flags := flag.NewFlagSet("", flag.ContinueOnError)
			flags.SetOutput(io.Discard)
			got, err := parse(flags, row.args, io.Discard)
			if row.err != "" {
				if err == nil || !strings.Contains(err.Error(), row.err) {
					t.Fatalf("error %v, want one with %q", err, row.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got != row.want {
				t.Errorf("%+v, want %+v", got, row.want)
			}
		})
	}
}

func TestParseSetsTheLog(t *testing.T) {
	before := slog.Default()
	defer slog.SetDefault(before)
	for _, row := range []struct {
		args []string
		want string
	}{
		{nil, "level=INFO msg=hello"},
		{[]string{"-json"}, `"level":"INFO","msg":"hello"`},
	} {
		var log bytes.Buffer
		if _, err := parse(flag.NewFlagSet("", flag.ContinueOnError), row.args, &log); err != nil {
			t.Fatal(err)
		}
		slog.Info("hello")
		if !strings.Contains(log.String(), row.want) {
			t.Errorf("%v: %s, want %s in it", row.args, log.String(), row.want)
		}
	}
}

func TestPage(t *testing.T) {
	rec := httptest.NewRecorder()
	Page(rec, nil)
	if got := rec.Header().Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
	for _, want := range []string{"/ws", "/livez", "/readyz", "/startupz", "/healthz", "/metrics", "new WebSocket"} {
		if !strings.Contains(rec.Body.String(), want) {
			t.Errorf("the page does not mention %s", want)
		}
	}
}
