package core

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/quietws/quietws/core/internal/journal"
)

// PathRules say how a framework's router compares the path of a request with its routes,
// so that a path is for the guard what it is for the router. It is for authors of
// adapters: see [Adapter.Paths]. The zero PathRules are those of http.ServeMux: decoded,
// but a slash that came as %2F parts no segments.
type PathRules struct {
	Decoded bool // wholly decoded: Gin, Fiber with UnescapePath
	Raw     bool // as it came: Echo, Gin with UseRawPath, Fiber
	Fold    bool // in any letter case, as on Fiber without CaseSensitive
	Trim    bool // slashes at the end do not count, as on Fiber without StrictRouting
}

// pathForm is PathRules in one byte, 0 where nothing is said.
type pathForm uint8

const (
	pathSegments pathForm = 1 << iota
	pathDecoded
	pathRaw
	pathFold
	pathTrim

	// pathLook marks the Adapter of a look. It is no form.
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

// Paths returns a for a router that compares paths so. The guard remembers what it was
// told last, for the layers that say nothing.
func (a Adapter) Paths(p PathRules) Adapter {
	if a.g == nil {
		return a
	}
	f := p.form()
	a.form = f | a.form&pathLook
	a.g.paths.form.Store(uint32(f))
	return a
}

// path returns the path of a request as the router compares it, and the form of
// that.
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
	case raw == "": // it came as it is when decoded, or its encoding is the usual one
	case f&pathRaw != 0, f&pathDecoded == 0 && hasEncodedSlash(raw):
		return raw
	}
	return httpHead{r}.Path()
}

// of is for a server whose Head has the path as it came.
func (f pathForm) of(path string) string {
	if f&pathDecoded != 0 && strings.ContainsAny(path, "%+") {
		if decoded, err := url.QueryUnescape(path); err == nil { // a plus is a space for Fiber
			return decoded
		}
	}
	return path
}

func hasEncodedSlash(path string) bool {
	return strings.Contains(path, "%2F") || strings.Contains(path, "%2f")
}

// same reports whether two paths are one for the router.
func (f pathForm) same(a, b string) bool {
	if a == b {
		return true
	}
	if f&pathTrim != 0 {
		a, b = trimSlashes(a), trimSlashes(b)
	}
	return a == b || f&pathFold != 0 && len(a) == len(b) && strings.EqualFold(a, b)
}

// key is the same for all paths that are one for the router.
func (f pathForm) key(path string) string {
	if f&pathTrim != 0 {
		path = trimSlashes(path)
	}
	if f&pathFold != 0 {
		path = strings.Map(lower, path)
	}
	return path
}

// in returns what the keys have for a path. It does not allocate.
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

// lower is for the letters of ASCII alone.
func lower(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		r += 'a' - 'A'
	}
	return r
}

// trimSlashes leaves the path of the root as it is.
func trimSlashes(path string) string {
	if len(path) > 1 && path[len(path)-1] == '/' {
		return strings.TrimRight(path, "/")
	}
	return path
}
