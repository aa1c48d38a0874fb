package frames

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCheckCode(t *testing.T) {
	for code := -1; code <= 70000; code++ {
		want := code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006 || code >= 3000 && code <= 4999
		if err := CheckCode(code); (err == nil) != want {
			t.Errorf("%d: %v", code, err)
		}
	}
}

func TestCutReason(t *testing.T) {
	x123 := strings.Repeat("x", 123)
	for _, row := range []struct{ rule, in, want string }{
		{"empty", "", ""},
		{"as it is", "restarting", "restarting"},
		{"123 bytes", x123, x123},
		{"124 bytes", x123 + "x", x123},
		{"two bytes do not fit", x123[:122] + "é", x123[:122]},
		{"two bytes fit", x123[:121] + "éx", x123[:121] + "é"},
		{"four bytes do not fit", x123[:120] + "🙂", x123[:120]},
		{"no UTF-8", "a\xffb", "a\ufffdb"},
		{"no UTF-8, and longer than it was", strings.Repeat("\xff", 123), "\ufffd"},
		{"the bytes of many that are none are one", x123[:121] + "\xff\xfe", x123[:121]},
	} {
		if got := CutReason(row.in); got != row.want || !utf8.ValidString(got) {
			t.Errorf("%s: %q, and not %q", row.rule, got, row.want)
		}
	}
}

func TestAppendClose(t *testing.T) {
	b := AppendClose([]byte("before"), 1012, "why")
	if string(b) != "before\x88\x05\x03\xf4why" {
		t.Errorf("%q", b)
	}
	longest := AppendClose(nil, 1000, strings.Repeat("x", maxReason))
	if f, err := readFrame(longest, false); err != nil || len(f.payload) != 125 {
		t.Errorf("%v, %d", err, len(f.payload))
	}
}
