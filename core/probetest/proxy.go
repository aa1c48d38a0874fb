package probetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Preamble is a form of the PROXY protocol's header, as HAProxy's
// doc/proxy-protocol.txt describes it. The addresses in it are the
// connection's own two, as a balancer's health check has them.
type Preamble uint8

const (
	// ProxyV1 is "PROXY TCP4 …" or "PROXY TCP6 …" (section 2.1): HAProxy's
	// check with send-proxy, Envoy's with proxy_protocol_config v1.
	ProxyV1 Preamble = iota
	// ProxyV1Unknown is "PROXY UNKNOWN": older HAProxy.
	ProxyV1Unknown
	// ProxyV2Local is a v2 header with the command LOCAL (section 2.2), which
	// says that the balancer speaks for itself: HAProxy's check with
	// send-proxy-v2, AWS NLB with proxy_protocol_v2, Envoy.
	ProxyV2Local
	// ProxyV2 is a v2 header with the command PROXY and addresses: a client's
	// connection.
	ProxyV2
)

var proxyV2Signature = []byte("\r\n\r\n\x00\r\nQUIT\n")

// Bytes returns the preamble for a connection from src to dst. Where one of
// the two is IPv6, both are written so.
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

// SendPreamble sends a PROXY preamble, in clear and before any TLS, nothing
// after it, and leaves the connection as end says. HAProxy's check ends with
// RST, the one of AWS NLB with FIN.
func SendPreamble(ctx context.Context, t Target, p Preamble, end End) (Result, error) {
	w, err := dial(ctx, t)
	if err != nil {
		return Result{}, err
	}
	defer w.close()
	return w.send(w.preamble(p), end)
}

// PreambleRequest sends a PROXY preamble and then req, which is what a server
// gets from a balancer that was told to speak PROXY to it. On a plain port
// both go out at once. On a TLS port the preamble is in clear and a handshake
// follows; where the server does not expect a preamble that fails, and
// [Result.Err] has it.
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
