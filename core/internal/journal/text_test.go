package journal

import (
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestWordAndText(t *testing.T) {
	long := strings.Repeat("a", 1<<20)
	for _, r := range []struct{ rule, in, word, text string }{
		{"harmless text stays as it is", "/ws/1?x", "/ws/1?x", "/ws/1?x"},
		{"nothing is seen to be nothing", "", `""`, ""},
		{"a space ends a word", "/a b", `"/a b"`, "/a b"},
		{"an equals sign makes an attribute", "a=b", `"a=b"`, "a=b"},
		{"a quote is quoted", `say "x"`, `"say \"x\""`, `"say \"x\""`},
		{"a backslash too, or quoting could be forged", `\n`, `"\\n"`, `"\\n"`},
		{"newlines", "a\r\nb", `"a\r\nb"`, `"a\r\nb"`},
		{"terminal escapes", "\x1b[31m", `"\x1b[31m"`, `"\x1b[31m"`},
		{"invalid UTF-8", "a\xff\xc0b", `"a\xff\xc0b"`, `"a\xff\xc0b"`},
		{"a letter is quoted, not escaped", "/é", `"/é"`, `"/é"`},
		{"text direction and line separators", "\u202e\u2028", `"\u202e\u2028"`, `"\u202e\u2028"`},
		{"exactly 200 bytes", long[:200], long[:200], long[:200]},
		{"a megabyte", long, `"` + long[:195] + `"...`, `"` + long[:195] + `"...`},
		{"an escape is not cut in two", long[:193] + "\n" + "\n" + long, `"` + long[:193] + `\n"...`, `"` + long[:193] + `\n"...`},
	} {
		if got := Word(r.in); got != r.word {
			t.Errorf("%s: Word = %s, want %s", r.rule, got, r.word)
		}
		if got := Text(r.in); got != r.text {
			t.Errorf("%s: Text = %s, want %s", r.rule, got, r.text)
		}
	}
}

func FuzzLogWord(f *testing.F) {
	for _, s := range []string{"", "/ws", "a\nb", "\x1b[0m", `"\`, "\xff", strings.Repeat("\x00", 300), strings.Repeat("é", 150)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, got := range []string{Word(s), Text(s)} {
			if len(got) > MaxText || !utf8.ValidString(got) {
				t.Fatalf("%q: %d bytes, valid %v", got, len(got), utf8.ValidString(got))
			}
			for _, r := range got {
				if !strconv.IsPrint(r) {
					t.Fatalf("%q has %q raw", got, r)
				}
			}
			if got == s {
				continue
			}
			// Quoted text can be read back, up to where it was cut.
			quoted, cut := strings.CutSuffix(got, "...")
			back, err := strconv.Unquote(quoted)
			if err != nil || !strings.HasPrefix(s, back) || !cut && back != s {
				t.Fatalf("%q became %s, which reads %q (%v)", s, got, back, err)
			}
		}
	})
}
