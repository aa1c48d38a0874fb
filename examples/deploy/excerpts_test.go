package deploy

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var (
	block = regexp.MustCompile("(?s)(`go test -run [^\n`]* -update \\.` makes it:\n\n```\n)(.*?)(```\n)")
	stamp = regexp.MustCompile(`(?m)^time=\S+ `)
	// Of no interest to a reader looking for probes.
	aside = regexp.MustCompile(`(?m)^.*msg=(listening|request) .*\n`)
	// What differs between runs: ports, times, and the number of sessions of clients
	// that connect all the time.
	varies = regexp.MustCompile(`127\.0\.0\.1:\d+|\b(\d+(\.\d+)?(h|ms|m|s|µs))+|\b(sessions|closed|answered)=\d+`)
)

// excerpt compares the excerpt in the README of a folder with a new log, or with -update
// writes it.
func excerpt(t *testing.T, folder, log string) {
	t.Helper()
	readme := folder + "/README.md"
	text := read(t, readme)
	at := block.FindStringSubmatchIndex(text)
	if at == nil {
		t.Fatalf("%s has no place for a log", readme)
	}
	got := aside.ReplaceAllString(stamp.ReplaceAllString(log, ""), "")
	if *update {
		if err := os.WriteFile(readme, []byte(text[:at[4]]+got+text[at[5]:]), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	same := func(s string) string { return varies.ReplaceAllString(s, "…") }
	if want := text[at[4]:at[5]]; same(got) != same(want) {
		t.Errorf("the log is now\n%s\nand %s has\n%s", got, readme, want)
	}
	if !strings.Contains(text[at[2]:at[3]], "go test -run "+strings.Split(t.Name(), "/")[0]+"/") {
		t.Errorf("%s does not say what makes its log", readme)
	}
}
