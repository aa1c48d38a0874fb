package probetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Preamble is a form of the PROXY protocol's header, as HAProxy's
// doc/proxy-protocol.txt describes it. Its addresses are those of the
// connection itself, as in the health check of a balancer.
type Preamble uint8

const (
	// ProxyV1 is "PROXY TCP4 …" or "PROXY TCP6 …" (section 2.1): HAProxy's
	// check with send-proxy, Envoy's with proxy_protocol_config v1.
	ProxyV1 Preamble = iota
	// ProxyV1Unknown is "PROXY UNKNOWN": older HAProxy.
	ProxyV1Unknown
	// ProxyV2Local is a v2 header with the command LOCAL (section 2.2), for
	// the balancer's own connections: HAProxy's check with
	// send-proxy-v2, AWS NLB with proxy_protocol_v2, Envoy.
	ProxyV2Local
	// ProxyV2 is a v2 header with the command PROXY and addresses, for the connection
	// of a client.
	ProxyV2
)

var proxyV2Signature = []byte("\r\n\r\n\x00\r\nQUIT\n")

// Bytes returns the preamble for a connection from src to dst. If one of
// the two is IPv6, both are written as IPv6.
func (p Preamble) Bytes(src, dst netip.AddrPort) []byte {
	from, to := src.Addr().Unmap(), dst.Addr().Unmap()
	family, code := "TCP4", byte(0x11) // AF_INET, STREAM
	if !from.Is4() || !to.Is4() {
		family, code = "TCP6", 0x21
		from, to = netip.AddrFrom16(from.As16()), netip.AddrFrom16(to.As16())
	}
	switch p {
	case ProxyV1Unknown:
		return []byte("PROXY UNKNOWN\r\n")
	case ProxyV2Local:
		return append(bytes.Clone(proxyV2Signature), 0x20, 0, 0, 0)
	case ProxyV2:
		addrs := append(from.AsSlice(), to.AsSlice()...)
		addrs = binary.BigEndian.AppendUint16(addrs, src.Port())
		addrs = binary.BigEndian.AppendUint16(addrs, dst.Port())
		b := append(bytes.Clone(proxyV2Signature), 0x21, code)
		return append(binary.BigEndian.AppendUint16(b, uint16(len(addrs))), addrs...)
	default:
		return fmt.Appendf(nil, "PROXY %s %s %s %d %d\r\n", family, from, to, src.Port(), dst.Port())
	}
}

// SendPreamble sends only a PROXY preamble, in plain text before any TLS, and ends the
// connection as end says. HAProxy's check ends with
// RST, that of AWS NLB with FIN.
func SendPreamble(ctx context.Context, t Target, p Preamble, end End) (Result, error) {
	w, err := dial(ctx, t)
	if err != nil {
		return Result{}, err
	}
	defer w.close()
	return w.send(w.preamble(p), end)
}

// PreambleRequest sends a PROXY preamble and then req, like a balancer configured to speak
// PROXY to the server. On a plain port both are sent at once. On a TLS port a handshake
// follows the plain preamble; it fails if the server does not expect a preamble, and its
// error is [Result.Err].
func PreambleRequest(ctx context.Context, t Target, p Preamble, req Request) (Result, error) {
	w, err := dial(ctx, t)
	if err != nil {
		return Result{}, err
	}
	defer w.close()
	raw := req.Bytes(t)
	if t.TLS == nil {
		return w.exchange(append(w.preamble(p), raw...), req.method(), req.End)
	}
	if err := w.write(w.preamble(p)); err != nil {
		return w.res, err
	}
	if err := w.secure(t.config()); err != nil {
		if w.ctx.Err() != nil {
			return w.res, fmt.Errorf("probetest: TLS handshake after the preamble: %w", err)
		}
		w.ended(err)
		w.res.Err = err
		return w.res, nil
	}
	return w.exchange(raw, req.method(), req.End)
}

func (w *wire) preamble(p Preamble) []byte {
	dst, _ := netip.ParseAddrPort(w.tcp.RemoteAddr().String())
	return p.Bytes(w.res.Local, dst)
}
