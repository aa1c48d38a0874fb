package core

import (
	"net/http/httptest"
	"testing"
)

// The guard compares paths like the router.
func TestPathForm(t *testing.T) {
	const fiber = pathRaw | pathFold | pathTrim
	for _, row := range []struct {
		form         pathForm
		target, path string
		is           bool
	}{
		{0, "/livez", "/livez", true},
		{0, "/%6civez", "/livez", true},
		{pathSegments, "/a%2Flivez", "/a/livez", false},
		{pathSegments, "/a%2flivez", "/a/livez", false},
		{pathSegments, "/a/%6civez", "/a/livez", true},
		{pathSegments, "/LIVEZ", "/livez", false},
		{pathDecoded, "/a%2Flivez", "/a/livez", true},
		{pathDecoded, "/%6civez", "/livez", true},
		{pathRaw, "/%6civez", "/livez", false},
		{pathRaw, "/%6civez", "/%6civez", true},
		{pathRaw, "/livez/", "/livez", false},
		{fiber, "/LiveZ//", "/livez", true},
		{fiber, "/livez", "/Livez/", true},
		{fiber, "/%6civez", "/livez", false},
		{fiber, "/", "", false},
		{fiber, "/", "/", true},
	} {
		r := httptest.NewRequest("GET", row.target, nil)
		g := quietGuard(t, Config{})
		a := g.Adapter()
		if row.form != 0 {
			a.form = row.form
			g.paths.form.Store(uint32(row.form))
		}
		path, form := a.path(httpHead{r})
		if got := form.same(row.path, path); got != row.is {
			t.Errorf("%s is %s in form %b: %t", row.target, row.path, row.form, got)
		}
		if g.paths.learn(row.path, ""); row.path != "" && (g.paths.servedAt(path) != 0) != row.is {
			t.Errorf("%s is not found where %s was learned, in form %b", row.target, row.path, row.form)
		}
	}
}

// On Fiber with UnescapePath a plus is a space, and an invalid encoding stays unchanged.
func TestPathFormOfAMessage(t *testing.T) {
	for in, want := range map[string]string{"/%6civez": "/livez", "/a+b": "/a b", "/100%": "/100%", "/livez": "/livez"} {
		if got := pathDecoded.of(in); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
		if got := pathRaw.of(in); got != in {
			t.Errorf("%s, as it came: %q", in, got)
		}
	}
}

func TestPathFormAllocatesNothing(t *testing.T) {
	keys := map[string]usage{"/ws": servedSocket}
	if n := testing.AllocsPerRun(100, func() { _ = (pathRaw | pathFold | pathTrim).in(keys, "/WS/") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The guard keeps an adapter's rules, for layers that give none.
func TestPathsAreRemembered(t *testing.T) {
	for _, row := range []struct {
		rules PathRules
		form  pathForm
	}{
		{PathRules{}, pathSegments}, {PathRules{Decoded: true}, pathDecoded}, {PathRules{Raw: true}, pathRaw},
		{PathRules{Raw: true, Fold: true, Trim: true}, pathRaw | pathFold | pathTrim},
	} {
		g := quietGuard(t, Config{})
		g.Adapter().Paths(row.rules)
		if _, form := g.Adapter().path(pathHead("/")); form != row.form {
			t.Errorf("%+v: %b, want %b", row.rules, form, row.form)
		}
	}
}
