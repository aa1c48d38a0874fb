package core

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/quietws/quietws/core/internal/journal"
)

// PathForm says in which form a framework's router compares the path of a request
// with its routes, so that a path is for the guard what it is for the router. It is
// for authors of adapters: see [Adapter.Paths].
type PathForm uint8

// pathMere marks the Adapter of a look. It is no form.
const pathMere PathForm = 1 << 7

const (
	// PathSegments: decoded, but a slash that came as %2F parts no segments:
	// http.ServeMux, and whatever says nothing.
	pathSegments PathForm = 1 << iota
	// PathDecoded: wholly decoded: Gin, Fiber with UnescapePath.
	PathDecoded
	// PathRaw: as it came: Echo, Gin with UseRawPath, Fiber.
	PathRaw
	// PathFold, with one of the others: in any letter case, as on Fiber without
	// CaseSensitive.
	PathFold
	// PathTrim, with one of the others: slashes at the end do not count, as on
	// Fiber without StrictRouting.
	PathTrim
)

// Paths returns a for a router that compares paths in that form. The guard
// remembers the form that it was given last, for the layers that have none.
func (a Adapter) Paths(f PathForm) Adapter {
	if a.g == nil {
		return a
	}
	a.form = f | a.form&pathMere
	a.g.form.Store(uint32(f))
	return a
}

// path returns the path of a request as the router compares it, and the form of
// that.
func (a Adapter) path(h Head) (string, PathForm) {
	f := a.form &^ pathMere
	if f == 0 {
		f = PathForm(a.g.form.Load())
	}
	if on, ok := h.(httpHead); ok {
		return f.ofURL(on.r), f
	}
	return f.of(h.Path()), f
}

func (f PathForm) ofURL(r *http.Request) string {
	switch raw := r.URL.RawPath; {
	case raw == "": // it came as it is when decoded, or its encoding is the usual one
	case f&PathRaw != 0, f&PathDecoded == 0 && hasEncodedSlash(raw):
		return raw
	}
	return httpHead{r}.Path()
}

// of is for a server whose Head has the path as it came.
func (f PathForm) of(path string) string {
	if f&PathDecoded != 0 && strings.ContainsAny(path, "%+") {
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
func (f PathForm) same(a, b string) bool {
	if a == b {
		return true
	}
	if f&PathTrim != 0 {
		a, b = trimSlashes(a), trimSlashes(b)
	}
	return a == b || f&PathFold != 0 && len(a) == len(b) && strings.EqualFold(a, b)
}

// key is the same for all paths that are one for the router.
func (f PathForm) key(path string) string {
	if f&PathTrim != 0 {
		path = trimSlashes(path)
	}
	if f&PathFold != 0 {
		path = strings.Map(lower, path)
	}
	return path
}

// in returns what the keys have for a path. It does not allocate.
func (f PathForm) in(keys map[string]usage, path string) usage {
	if f&PathTrim != 0 {
		path = trimSlashes(path)
	}
	if f&PathFold == 0 || len(path) > journal.MaxText {
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
