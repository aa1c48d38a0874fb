package coretest

import (
	"os"
	"strings"
	"testing"
)

// update is the environment variable that makes the test rewrite the tables.
const update = "CORETEST_UPDATE"

// The tables between the marks are those of the suite, so README lists what the tests
// expect.
func TestTablesAreWhatTheSuiteExpects(t *testing.T) {
	fs := []Framework{Echo(), Gin(), Fiber(), NetHTTP()}
	for file, table := range map[string]string{
		"../../README.md": table(fs...), "../../README.zh-CN.md": inChinese(t, table(fs...)), "README.md": rules(fs...),
	} {
		const begin, end = "<!-- coretest: begin -->\n", "<!-- coretest: end -->\n"
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		before, rest, ok := strings.Cut(string(b), begin)
		had, after, ends := strings.Cut(rest, end)
		switch {
		case !ok || !ends:
			t.Errorf("%s lacks the marks %q and %q", file, begin, end)
		case had == table:
		case os.Getenv(update) == "":
			t.Errorf("the table in %s is not what the suite expects; fix it with\n\t%s=1 go test ./core/coretest -run Tables", file, update)
		default:
			if err := os.WriteFile(file, []byte(before+begin+table+end+after), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestTable(t *testing.T) {
	one := Framework{"one", []Limit{
		{Rows: []string{"drain/*"}, Layers: []Layer{Attach}, Outcome: Unknown, Reason: "it is far away"},
		{Rows: []string{"drain/code"}, Reason: "there is none"},
		{Rows: []string{"drain/answers"}, Outcome: Differs, Reason: "it is slow"},
	}}
	got := table(one, Framework{Name: "two"})
	for _, want := range []string{
		"| rows | one | two |\n|---|---|---|\n",
		"| drain/answers | ✓ ¹, unknown ² | ✓ |\n",
		"| drain/handshakes; goodbye; deadline; ", " | ✓, unknown ² | ✓ |\n",
		"| drain/code | n.a. ³ | ✓ |\n",
		"\n1. it is slow.\n2. it is far away.\n3. there is none.\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "probe/") {
		t.Errorf("a row that holds on all is in\n%s", got)
	}
}

// A limit without a row or without a reason is a mistake.
func TestLimitsAreChecked(t *testing.T) {
	for _, f := range []Framework{Echo(), Gin(), Fiber(), NetHTTP()} {
		if wrong := f.checked(); len(wrong) > 0 {
			t.Errorf("%s: %q", f.Name, wrong)
		}
	}
	for _, l := range []Limit{
		{Rows: []string{"drain/code"}}, {Reason: "why"}, {Rows: []string{"drain/tomorrow"}, Reason: "why"},
		{Rows: []string{"drain/code"}, Reason: "why", Instead: func(w Want) Want { return w }},
	} {
		if wrong := (Framework{"wrong", []Limit{l}}).checked(); len(wrong) != 1 {
			t.Errorf("%+v: %q, want one mistake", l, wrong)
		}
	}
}
