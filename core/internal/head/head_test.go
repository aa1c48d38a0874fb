package head

import (
	"strings"
	"testing"
)

func TestListsToken(t *testing.T) {
	for _, row := range []struct {
		list, token string
		want        bool
	}{
		{"", "upgrade", false},
		{",", "upgrade", false},
		{"keep-alive", "upgrade", false},
		{"upgrades", "upgrade", false},
		{"up grade", "upgrade", false},
		{"upgrade;q=1", "upgrade", false},
		{`"upgrade"`, "upgrade", false},
		{"keep-alive upgrade", "upgrade", false},
		{"\vupgrade", "upgrade", false},
		{"\u212Aeep-alive", "keep-alive", false}, // the Kelvin sign folds to k
		{"web\u017Focket", "websocket", false},   // the long s folds to s
		{"upgrade", "upgrade", true},
		{"Upgrade", "upgrade", true},
		{"close,UPGRADE", "upgrade", true},
		{" \tupgrade\t ,close", "upgrade", true},
		{",,upgrade", "upgrade", true},
	} {
		if got := ListsToken(row.list, row.token); got != row.want {
			t.Errorf("ListsToken(%q, %q) = %v", row.list, row.token, got)
		}
	}
}

// FuzzListsToken compares with a simple implementation of RFC 9110 §5.6.1.
func FuzzListsToken(f *testing.F) {
	for _, list := range []string{"", "upgrade", "Keep-Alive, Upgrade", ",\t upgrade ,", "web\u017Focket", "websocket\x00", "h2c,websocket"} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		lower := strings.Map(func(r rune) rune {
			if r >= 'A' && r <= 'Z' {
				return r + 'a' - 'A'
			}
			return r
		}, list)
		for _, token := range []string{"upgrade", "websocket"} {
			want := false
			for item := range strings.SplitSeq(lower, ",") {
				want = want || strings.Trim(item, " \t") == token
			}
			if got := ListsToken(list, token); got != want {
				t.Errorf("ListsToken(%q, %q) = %v", list, token, got)
			}
		}
	})
}
