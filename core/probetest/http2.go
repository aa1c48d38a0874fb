package probetest

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
)

// KeyOverHTTP2 requests the WebSocket path over HTTP/2 with Sec-WebSocket-Key and without
// Upgrade, which HTTP/2 does not have (RFC 9113 §8.6). A proxy that speaks HTTP/2 to the
// server turns a handshake into such a request. The target must have TLS and negotiate h2.
func KeyOverHTTP2(ctx context.Context, t Target) (Result, error) {
	if t.TLS == nil {
		return Result{}, errNeedsTLS
	}
	w, err := dial(ctx, t)
	if err != nil {
		return Result{}, err
	}
	defer w.close()
	cfg := t.config()
	cfg.NextProtos = []string{"h2"}
	if err := w.secure(cfg); err != nil {
		return w.res, err
	}
	if w.conn.(*tls.Conn).ConnectionState().NegotiatedProtocol != "h2" {
		return w.res, errors.New("probetest: the server does not negotiate h2")
	}
	tr := &http.Transport{
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return w.conn, nil },
		Protocols:      new(http.Protocols),
	}
	tr.Protocols.SetHTTP2(true)
	req, err := http.NewRequestWithContext(w.ctx, http.MethodGet, "https://"+t.Addr+t.path(), nil)
	if err != nil {
		return w.res, err
	}
	req.Header.Set("Sec-WebSocket-Key", Key)
	req.Header.Set("Sec-WebSocket-Version", "13")
	resp, err := tr.RoundTrip(req)
	if err != nil {
		if w.ctx.Err() != nil {
			return w.res, err
		}
		w.res.Err = err
		w.ended(err)
		return w.res, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	_ = resp.Body.Close()
	tr.CloseIdleConnections()
	w.res.Proto, w.res.Status, w.res.Header = resp.Proto, resp.StatusCode, resp.Header
	w.res.Body, w.res.Err = string(body), err
	return w.res, nil
}
