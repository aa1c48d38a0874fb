package core

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
)

// handBack copies what handlers have set on their copy of the request to the request of
// the layer outside, as if there had been no copy: net/http removes the temporary files
// of a multipart form by the original, and metrics and traces take the route from its
// Pattern. It writes only what has changed, because other goroutines may be reading the
// rest.
func (q *HTTPRequest) handBack() {
	r := q.original
	if r == nil {
		return
	}
	q.original = nil
	copied := q.x.w.r
	change(&r.Method, copied.Method)
	change(&r.Host, copied.Host)
	change(&r.RemoteAddr, copied.RemoteAddr)
	change(&r.RequestURI, copied.RequestURI)
	change(&r.URL, copied.URL)
	change(&r.TLS, copied.TLS)
	change(&r.ContentLength, copied.ContentLength)
	change(&r.MultipartForm, copied.MultipartForm)
	changeMap(&r.Header, copied.Header)
	changeMap(&r.Form, copied.Form)
	changeMap(&r.PostForm, copied.PostForm)
	if copied.Trailer != nil { // net/http fills the original's
		changeMap(&r.Trailer, copied.Trailer)
	}
	if !same(r.Body, copied.Body) {
		r.Body = copied.Body
	}
	if r.Pattern != copied.Pattern {
		r.Pattern = copied.Pattern
		handBackPathValues(r, copied)
	}
}

func change[T comparable](to *T, from T) {
	if *to != from {
		*to = from
	}
}

func changeMap[M http.Header | url.Values](to *M, from M) {
	if reflect.ValueOf(*to).Pointer() != reflect.ValueOf(from).Pointer() {
		*to = from
	}
}

// same reports whether a and b are equal. It is false for a type that cannot be compared.
func same(a, b any) (yes bool) {
	defer func() { _ = recover() }()
	return a == b
}

// handBackPathValues sets on r the values that copied has for the wildcards of its
// pattern: {name}, {name...} or, in chi, {name:expression}.
func handBackPathValues(r, copied *http.Request) {
	for rest := copied.Pattern; ; {
		_, after, found := strings.Cut(rest, "{")
		if !found {
			return
		}
		rest = after
		name := after[:max(0, strings.IndexAny(after, "}:."))]
		if value := copied.PathValue(name); value != "" {
			r.SetPathValue(name, value)
		}
	}
}
