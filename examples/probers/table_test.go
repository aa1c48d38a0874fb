package main

import (
	"errors"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	b := &bench{servers: []string{"echo", "fiber"}}
	version := func() string { return "1.2" }
	rows := []row{
		{program: "P", version: version, way: "a way", classes: []string{"tcp_probe"}},
		{program: "Q", version: version, way: "another", tls: true, own: "x"},
	}
	all := []*trial{
		{row: &rows[0], server: &server{name: "echo"}, verdict: up, lines: 1, session: "ok"},
		{row: &rows[0], server: &server{name: "fiber"}, failed: errors.New("no")},
		{row: &rows[1], server: &server{name: "x"}, session: "ok"},
	}
	want := "| program | how | port | counted as | echo | fiber |\n|---|---|---|---|---|---|\n" +
		"| P 1.2 | a way | plain | tcp_probe | up · 1 · ok | **failed** |\n" +
		"| Q 1.2 | another | TLS | – | 0 · ok | – |\n"
	if got := b.table(all); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// The text between a remedy's backquotes, and where it goes.
func TestQuotedAfter(t *testing.T) {
	const remedy = "a proxy did it; nginx: `a; b;` Apache: `c=d` on the line and `E f`"
	nginx, apache := quotedAfter(remedy, "nginx"), quotedAfter(remedy, "Apache")
	if len(nginx) == 0 || nginx[0] != "a; b;" || len(apache) != 2 || apache[0] != "c=d" || apache[1] != "E f" {
		t.Errorf("%q, %q", nginx, apache)
	}
	if got := quotedAfter(remedy, "Varnish"); got != nil {
		t.Errorf("without a part: %q", got)
	}
	at := &trial{server: &server{addr: "127.0.0.1:1"}}
	for _, row := range []struct {
		proxy  inFront
		quoted []string
		want   string
	}{
		{nginxFront("", ""), nginx, "location / { a; b; proxy_pass http://127.0.0.1:1;"},
		{apacheFront("", "", "", ""), apache, "ProxyPass / http://127.0.0.1:1/ c=d\n"},
		{apacheFront("", "", "", ""), apache, "\nE f\n"},
		{varnishFront("", "", ""), []string{"sub x {}"}, "\nsub x {}\n"},
	} {
		if got := row.proxy.fix(row.proxy.config(at, "/dir", "127.0.0.1:2"), row.quoted); !strings.Contains(got, row.want) {
			t.Errorf("%s: no %q in\n%s", row.proxy.name, row.want, got)
		}
	}
}

// The table says which of the rows failed.
func TestEachSkipsWhatHasFailed(t *testing.T) {
	all := []*trial{{}, {failed: errors.New("before")}}
	each(all, func(*trial) error { return errors.New("now") })
	if all[0].failed.Error() != "now" || all[1].failed.Error() != "before" {
		t.Errorf("%v, %v", all[0].failed, all[1].failed)
	}
}
