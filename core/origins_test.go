package core

import "testing"

func TestOriginAllowed(t *testing.T) {
	for _, row := range originRows {
		if got := (&Origins{Patterns: row.patterns}).allow(row.origin, row.host); got != row.want {
			t.Errorf("%s: originAllowed(%q, %q, %q) = %v", row.rule, row.origin, row.host, row.patterns, got)
		}
	}
}

// With Only, the list is all that is allowed; not even the same host is.
func TestOnlyTheseOrigins(t *testing.T) {
	const self, other = "https://example.com", "https://other.example"
	only := func(list ...string) Origins { return Origins{Patterns: list, Only: true} }
	sandboxed := only(other, "null")
	if !sandboxed.allow("null", "example.com") {
		t.Error("a sandboxed page, whose Origin is null, is not allowed by that word")
	}
	for _, row := range []struct {
		origins     Origins
		self, other bool
	}{
		{Origins{}, true, false},
		{Origins{Any: true}, true, true},
		{Origins{Any: true, Only: true, Patterns: []string{"*", other}}, true, true},
		{only(other), false, true},
		{only(self), true, false},
		{only("null"), false, false},
	} {
		allowed := func(origin string) bool { return row.origins.allow(origin, "example.com") }
		if allowed(self) != row.self || allowed(other) != row.other || !allowed("") {
			t.Errorf("%+v: the same host %t, another %t, none %t", row.origins, allowed(self), allowed(other), allowed(""))
		}
	}
}
