package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWriteBetween(t *testing.T) {
	const begin = "<!-- begin -->\n"
	file := filepath.Join(t.TempDir(), "README.md")
	for _, row := range []struct{ before, want string }{
		{"a\n" + begin + "old\n" + end + "b\n", "a\n" + begin + "\nnew\n\n" + end + "b\n"},
		{"no marks", ""},
		{begin + "no end", ""},
	} {
		if err := os.WriteFile(file, []byte(row.before), 0o600); err != nil {
			t.Fatal(err)
		}
		err := writeBetween(file, begin, "new\n")
		if got, _ := os.ReadFile(file); row.want != "" && (err != nil || string(got) != row.want) || row.want == "" && err == nil {
			t.Errorf("%q: %q, %v", row.before, got, err)
		}
	}
}
