package probetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Field is one line of a header. It is sent as it is, and not canonicalised, joined or
// checked.
type Field struct{ Name, Value string }

// Request is an HTTP/1 request with every byte under control: [Request.Bytes]
// adds only the lines Host and Content-Length.
type Request struct {
	// Method is "GET" if it is empty.
	Method string
	// Path is the request target, "/" if it is empty.
	Path string
	// Proto is "HTTP/1.1" if it is empty.
	Proto string
	// Host is the value of the first line, Host. "": [Target.Addr].
	Host string
	// NoHost leaves that line out.
	NoHost bool
	// Header has the lines after Host, in this order.
	Header []Field
	// Body follows the header; a Content-Length line for it is added.
	Body string
	// End says how the connection ends after the answer.
	End End
}

func (r Request) method() string { return or(r.Method, "GET") }

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// Bytes returns r as it is sent to t.
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

// Do sends r, inside TLS if the target has it, reads the full answer, and ends the
// connection as [Request.End] says.
func Do(ctx context.Context, t Target, r Request) (Result, error) {
	w, err := open(ctx, t)
	if err != nil {
		return Result{}, err
	}
	defer w.close()
	return w.exchange(r.Bytes(t), r.method(), r.End)
}

// Exchange is [Do] for bytes that a [Request] cannot describe. The answer is read like the
// answer to a GET.
func Exchange(ctx context.Context, t Target, raw []byte, end End) (Result, error) {
	w, err := open(ctx, t)
	if err != nil {
		return Result{}, err
	}
	defer w.close()
	return w.exchange(raw, "GET", end)
}

// Get requests path over HTTP/1.1 and reads the full answer. It sends this User-Agent, or
// none if it is empty, and more header lines.
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

// exchange sends raw, reads the answer and ends the connection as end says.
func (w *wire) exchange(raw []byte, method string, end End) (Result, error) {
	if err := w.write(raw); err != nil {
		return w.res, err
	}
	if err := w.answer(method); err != nil {
		return w.res, err
	}
	if w.res.Err != nil { // the server has gone; it is over already
		return w.res, nil
	}
	return w.finish(end)
}
