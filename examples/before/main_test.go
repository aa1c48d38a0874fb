package main

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
)

// update is the environment variable that makes the test rewrite the excerpts.
const update = "BEFORE_UPDATE"

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "serve" { // the test binary is the server too
		serve(os.Args[2], os.Args[3])
		return
	}
	flag.Parse()
	os.Exit(m.Run())
}

// volatile matches what differs between runs and versions: ports, times, durations and
// lines of source.
var volatile = regexp.MustCompile(`127\.0\.0\.1:\d+|"time":"[^"]+"|"line":"\d+"|\.go:\d+|=[0-9.]+(?:µs|ms|s)\b`)

func steady(s string) string { return volatile.ReplaceAllString(s, "~") }

// The excerpts in README are exactly what the program prints.
func TestExcerpts(t *testing.T) {
	for _, s := range scenes {
		t.Run(s.name, func(t *testing.T) {
			out, err := s.play()
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range []string{"../../README.md", "../../README.zh-CN.md"} {
				begin, end := "<!-- go run ./examples/before "+s.name+" -->\n```text\n", "```\n"
				b, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				before, rest, ok := strings.Cut(string(b), begin)
				had, after, ends := strings.Cut(rest, end)
				switch {
				case !ok || !ends:
					t.Errorf("%s lacks %q or the end of its block", file, begin)
				case steady(had) == steady(out):
				case os.Getenv(update) == "":
					t.Errorf("%s has\n%sbut the program prints\n%sFix it with\n\t%s=1 go test ./examples/before", file, had, out, update)
				default:
					if err := os.WriteFile(file, []byte(before+begin+out+end+after), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
}

func TestAlike(t *testing.T) {
	got := alike([]string{"a 127.0.0.1:1 b", "a 127.0.0.1:22 b", "a 127.0.0.1:3 c", "d", "d", "d"})
	want := []string{"a 127.0.0.1:1 b", "… 1 more of these", "a 127.0.0.1:3 c", "d", "… 2 more of these"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q, want %q", got, want)
	}
}
