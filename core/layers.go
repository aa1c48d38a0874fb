package core

import (
	"bufio"
	"cmp"
	"maps"
	"net"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"sync"
)

// Middleware puts its ResponseWriters between the handler and the server. One that
// compresses or buffers keeps the status back until a body comes. A library that writes
// its 101 with WriteHeader and then hijacks, as coder/websocket does, believes that it has
// answered, and its client waits for ever.

// beforeHijack finds out whether a 101 that the handler wrote has reached the server,
// which sends it from inside Hijack. If a layer keeps it back, the 101 of a Handler is
// passed to the server; for any other route the layer is noted.
func (w *writer) beforeHijack() {
	x := (*exchange)(w)
	switch x.status.Load() {
	case http.StatusSwitchingProtocols:
		switch below, layers := bottom(w.w.to); {
		case layers == 0 || !unwritten(below):
		case x.own:
			switchProtocols(below, w.Header())
		default:
			x.heldBy(layersOf(w.w.to))
			x.status.Store(0)
		}
	case 0:
		if w.Header().Get("Sec-WebSocket-Accept") != "" {
			x.heldBy(layersAbove())
		}
	}
}

// past is the ResponseWriter of a handshake on a WebSocket route if there are layers
// between it and the ResponseWriter that began the request.
type past struct {
	http.ResponseWriter
	x        *exchange
	switched bool // the library has written 101
}

// Unwrap is for http.ResponseController.
func (p *past) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p *past) WriteHeader(status int) {
	p.switched = p.switched || status == http.StatusSwitchingProtocols
	p.ResponseWriter.WriteHeader(status)
}

func (p *past) Flush() { _ = http.NewResponseController(p.ResponseWriter).Flush() }

func (p *past) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	p.beforeHijack()
	return p.hijacked(hijackerOf(p.ResponseWriter).Hijack()) // there is one, or there would be no past
}

// beforeHijack is for a 101 that a layer between has kept.
//
//go:noinline
func (p *past) beforeHijack() {
	switch held := p.switched && p.x.status.Load() == 0; {
	case held && p.x.own:
		switchProtocols((*writer)(p.x), p.Header())
	case held:
		p.x.heldBy(layersOf(p.ResponseWriter))
	}
}

// hijacked is what follows a hijack, and not around one: see writer.hijacked.
//
//go:noinline
func (p *past) hijacked(nc net.Conn, rw *bufio.ReadWriter, err error) (net.Conn, *bufio.ReadWriter, error) {
	if err != nil {
		p.x.cannotHijack(p.ResponseWriter)
	}
	return nc, rw, err
}

// switchProtocols writes 101 to w, with the header that a layer above may keep to itself.
func switchProtocols(w http.ResponseWriter, header http.Header) {
	maps.Copy(w.Header(), header)
	w.WriteHeader(http.StatusSwitchingProtocols)
}

// heldBy notes layers: one of them kept a 101 back or hides the hijack.
func (x *exchange) heldBy(layers string) {
	if layers != "" {
		x.trouble(func(t *trouble) { t.layers = cmp.Or(t.layers, layers) })
	}
}

// maxWriters limits how many ResponseWriters are examined and named.
const maxWriters = 16

// bottom returns the innermost ResponseWriter that w wraps, which is the server's own if
// each layer shows what it wraps. It also returns the number of layers above that.
func bottom(w http.ResponseWriter) (below http.ResponseWriter, layers int) {
	for layers < maxWriters {
		next := under(w)
		if next == nil {
			break
		}
		w = next
		layers++
	}
	return w, layers
}

// under returns what w wraps: what it unwraps to, or what is embedded in it, as in
// wrappers of gin.ResponseWriter. It is nil if neither can be seen.
func under(w http.ResponseWriter) http.ResponseWriter {
	if u, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
		return u.Unwrap()
	}
	v := reflect.Indirect(reflect.ValueOf(w))
	if v.Kind() != reflect.Struct {
		return nil
	}
	i := fieldsOf(v.Type()).embedded
	if i < 0 {
		return nil
	}
	below, _ := v.Field(i).Interface().(http.ResponseWriter)
	return below
}

// fields says where a struct has the fields that are needed; -1: nowhere.
type fields struct {
	embedded int // ResponseWriter
	wrote    int // wroteHeader, in net/http's own
}

// knownFields are those of the types seen so far; a program has few. Looking up a field
// by name takes more stack than a session has left at its hijack.
var knownFields sync.Map // reflect.Type -> fields

func fieldsOf(t reflect.Type) fields {
	if known, ok := knownFields.Load(t); ok {
		return known.(fields)
	}
	return findFields(t)
}

// findFields is a function of its own so that its locals are not on the stack of each
// session at its hijack.
//
//go:noinline
func findFields(t reflect.Type) fields {
	f := fields{-1, -1}
	if field, ok := t.FieldByName("ResponseWriter"); ok && len(field.Index) == 1 {
		f.embedded = field.Index[0]
	}
	if field, ok := t.FieldByName("wroteHeader"); ok && len(field.Index) == 1 && t.PkgPath()+"."+t.Name() == serversOwn && field.Type.Kind() == reflect.Bool {
		f.wrote = field.Index[0]
	}
	knownFields.Store(t, f)
	return f
}

// hiding names the layer in w that cannot be hijacked and does not show what it wraps.
func hiding(w http.ResponseWriter) string {
	below, _ := bottom(w)
	if _, ok := below.(http.Hijacker); ok {
		return ""
	}
	return typeName(below)
}

// serversOwn is the ResponseWriter of net/http for HTTP/1.
const serversOwn = "net/http.response"

// unwritten reports whether w is a ResponseWriter of net/http without a status so far.
// Only a private field of its type says so. Without that field the answer is no.
func unwritten(w http.ResponseWriter) bool {
	v := reflect.Indirect(reflect.ValueOf(w))
	if v.Kind() != reflect.Struct {
		return false
	}
	i := fieldsOf(v.Type()).wrote
	return i >= 0 && !v.Field(i).Bool()
}

// layersOf names w and what it wraps, without the server's own ResponseWriter and ours.
func layersOf(w http.ResponseWriter) string {
	var names []string
	for ; w != nil && !isOurs(w) && len(names) < maxWriters; w = under(w) {
		if name := typeName(w); name != serversOwn {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// typeName is the full name of the type of w, such as
// github.com/labstack/echo/v4/middleware.gzipResponseWriter.
func typeName(w http.ResponseWriter) string {
	t := reflect.TypeOf(w)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.PkgPath() == "" || t.Name() == "" {
		return t.String()
	}
	return t.PkgPath() + "." + t.Name()
}

// layersAbove names the types whose Hijack methods called our own, which calls the caller
// of layersAbove.
func layersAbove() string {
	pcs := make([]uintptr, 4*maxWriters)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(4, pcs)])
	var names []string
	for len(names) < maxWriters {
		frame, more := frames.Next()
		name, isHijack := strings.CutSuffix(frame.Function, ".Hijack")
		if !isHijack {
			break
		}
		switch name {
		case "net/http.(*ResponseController)", "github.com/quietws/quietws/core.(*past)", "github.com/quietws/quietws/ginws.(*writer)":
		default:
			names = append(names, strings.NewReplacer("(*", "", ")", "").Replace(name))
		}
		if !more {
			break
		}
	}
	return strings.Join(names, ", ")
}
