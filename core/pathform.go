package core

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/quietws/quietws/core/internal/journal"
)

// PathRules say how a framework's router compares the path of a request with its routes,
// so that the guard compares paths in the same way. It is for authors of adapters: see
// [Adapter.Paths]. The zero PathRules are those of http.ServeMux: decoded, but a slash
// that came as %2F does not separate segments.
type PathRules struct {
	Decoded bool // fully decoded: Gin, Fiber with UnescapePath
	Raw     bool // not decoded: Echo, Gin with UseRawPath, Fiber
	Fold    bool // ignoring letter case: Fiber without CaseSensitive
	Trim    bool // ignoring slashes at the end: Fiber without StrictRouting
}

// pathForm is PathRules in one byte; 0: not known.
type pathForm uint8

const (
	pathSegments pathForm = 1 << iota
	pathDecoded
	pathRaw
	pathFold
	pathTrim

	// pathLook marks the Adapter of a look. It is not a form.
	pathLook pathForm = 1 << 7
)

func (p PathRules) form() (f pathForm) {
	switch {
	case p.Raw:
		f = pathRaw
	case p.Decoded:
		f = pathDecoded
	default:
		f = pathSegments
	}
	if p.Fold {
		f |= pathFold
	}
	if p.Trim {
		f |= pathTrim
	}
	return f
}

// Same reports whether path, as the router compares it, is that of a route.
func (p PathRules) Same(route, path string) bool { return p.form().same(route, path) }

// Paths returns an Adapter for a router that compares paths by these rules. The guard
// remembers the last rules, for layers that give none.
func (a Adapter) Paths(p PathRules) Adapter {
	if a.g == nil {
		return a
	}
	f := p.form()
	a.form = f | a.form&pathLook
	a.g.paths.form.Store(uint32(f))
	return a
}

// path returns the path of a request as the router compares it, and its form.
func (a Adapter) path(h Head) (string, pathForm) {
	f := a.form &^ pathLook
	if f == 0 {
		f = pathForm(a.g.paths.form.Load())
	}
	if on, ok := h.(httpHead); ok {
		return f.ofURL(on.r), f
	}
	return f.of(h.Path()), f
}

func (f pathForm) ofURL(r *http.Request) string {
	switch raw := r.URL.RawPath; {
	case raw == "": // it needed no decoding, or has the default encoding
	case f&pathRaw != 0, f&pathDecoded == 0 && hasEncodedSlash(raw):
		return raw
	}
	return httpHead{r}.Path()
}

// of is for a server whose Head has the path undecoded.
func (f pathForm) of(path string) string {
	if f&pathDecoded != 0 && strings.ContainsAny(path, "%+") {
		if decoded, err := url.QueryUnescape(path); err == nil { // Fiber reads a plus as a space
			return decoded
		}
	}
	return path
}

func hasEncodedSlash(path string) bool {
	return strings.Contains(path, "%2F") || strings.Contains(path, "%2f")
}

// same reports whether two paths are the same for the router.
func (f pathForm) same(a, b string) bool {
	if a == b {
		return true
	}
	if f&pathTrim != 0 {
		a, b = trimSlashes(a), trimSlashes(b)
	}
	return a == b || f&pathFold != 0 && len(a) == len(b) && strings.EqualFold(a, b)
}

// key is the same for all paths that are the same for the router.
func (f pathForm) key(path string) string {
	if f&pathTrim != 0 {
		path = trimSlashes(path)
	}
	if f&pathFold != 0 {
		path = strings.Map(lower, path)
	}
	return path
}

// in returns the value of a path in keys. It does not allocate.
func (f pathForm) in(keys map[string]usage, path string) usage {
	if f&pathTrim != 0 {
		path = trimSlashes(path)
	}
	if f&pathFold == 0 || len(path) > journal.MaxText {
		return keys[path]
	}
	var key [journal.MaxText]byte
	for i := range len(path) {
		key[i] = byte(lower(rune(path[i])))
	}
	return keys[string(key[:len(path)])]
}

// lower changes only ASCII letters.
func lower(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		r += 'a' - 'A'
	}
	return r
}

// trimSlashes does not change the root path.
func trimSlashes(path string) string {
	if len(path) > 1 && path[len(path)-1] == '/' {
		return strings.TrimRight(path, "/")
	}
	return path
}
