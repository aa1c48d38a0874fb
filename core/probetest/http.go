package probetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Field is one line of a header, written as it stands: nothing is
// canonicalised, joined or checked.
type Field struct{ Name, Value string }

// Request is an HTTP/1 request whose every byte is known: [Request.Bytes]
// writes what the fields say and adds nothing.
type Request struct {
	// Method is "GET" where it is empty.
	Method string
	// Path is the request target, "/" where it is empty.
	Path string
	// Proto is "HTTP/1.1" where it is empty.
	Proto string
	// Host is the value of the first line, Host. "": [Target.Addr].
	Host string
	// NoHost leaves that line out.
	NoHost bool
	// Header is what follows, in this order.
	Header []Field
	// Body follows the header; a Content-Length line for it is added.
	Body string
	// End is how the connection is left after the answer.
	End End
}

func (r Request) method() string { return or(r.Method, "GET") }

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// Bytes returns r as it goes to t.
func (r Request) Bytes(t Target) []byte {
	b := fmt.Appendf(nil, "%s %s %s\r\n", r.method(), or(r.Path, "/"), or(r.Proto, "HTTP/1.1"))
	if !r.NoHost {
		b = fmt.Appendf(b, "Host: %s\r\n", or(r.Host, t.Addr))
	}
	for _, f := range r.Header {
		b = fmt.Appendf(b, "%s: %s\r\n", f.Name, f.Value)
	}
	if r.Body != "" {
		b = fmt.Appendf(b, "Content-Length: %d\r\n", len(r.Body))
	}
	return append(append(b, "\r\n"...), r.Body...)
}

// With returns r with more lines at the end of its header.
func (r Request) With(more ...Field) Request {
	r.Header = slices.Concat(r.Header, more)
	return r
}

// Without returns r without the lines of these names, in any letter case.
func (r Request) Without(names ...string) Request {
	r.Header = slices.DeleteFunc(slices.Clone(r.Header), func(f Field) bool {
		return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, f.Name) })
	})
	return r
}

// Do sends r, inside TLS where the target has it, reads the whole answer, and
// leaves the connection as [Request.End] says.
func Do(ctx context.Context, t Target, r Request) (Result, error) {
	w, err := open(ctx, t)
	if err != nil {
		return Result{}, err
	}
	defer w.close()
	return w.exchange(r.Bytes(t), r.method(), r.End)
}

// Exchange is [Do] for bytes that no [Request] can describe. The answer is read
// as one to a GET.
func Exchange(ctx context.Context, t Target, raw []byte, end End) (Result, error) {
	w, err := open(ctx, t)
	if err != nil {
		return Result{}, err
	}
	defer w.close()
	return w.exchange(raw, "GET", end)
}

// Get asks for path over HTTP/1.1 with this User-Agent, none where it is empty,
// and more header lines, and reads the whole answer.
func Get(ctx context.Context, t Target, path, userAgent string, more ...Field) (Result, error) {
	return Do(ctx, t, plain("GET", path, userAgent, more))
}

// Head is [Get] with the method HEAD.
func Head(ctx context.Context, t Target, path, userAgent string, more ...Field) (Result, error) {
	return Do(ctx, t, plain("HEAD", path, userAgent, more))
}

// Options is [Get] with the method OPTIONS.
func Options(ctx context.Context, t Target, path, userAgent string, more ...Field) (Result, error) {
	return Do(ctx, t, plain("OPTIONS", path, userAgent, more))
}

func plain(method, path, userAgent string, more []Field) Request {
	r := Request{Method: method, Path: path}
	if userAgent != "" {
		r = r.With(Field{"User-Agent", userAgent})
	}
	return r.With(more...)
}

// exchange sends raw, reads the answer to it and leaves as end says.
func (w *wire) exchange(raw []byte, method string, end End) (Result, error) {
	if err := w.write(raw); err != nil {
		return w.res, err
	}
	if err := w.answer(method); err != nil {
		return w.res, err
	}
	if w.res.Err != nil { // the server has gone; there is nothing to leave
		return w.res, nil
	}
	return w.finish(end)
}
