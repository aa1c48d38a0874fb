package probetest

import "context"

// Connect opens a TCP connection, sends nothing, and ends it as end says. It sends no TLS
// on a TLS port either.
//
// FIN is the kubelet, Azure Container Apps, AWS NLB, Consul; RST is HAProxy
// and the balancers of Alibaba, Tencent and Huawei; Silence is a browser's
// spare connection or a slow attack.
func Connect(ctx context.Context, t Target, end End) (Result, error) {
	return SendTCP(ctx, t, nil, end)
}

// SendTCP writes raw to the TCP connection itself, outside any TLS, and ends it as end
// says. It reads the server's answer if end is HalfClose or Silence.
func SendTCP(ctx context.Context, t Target, raw []byte, end End) (Result, error) {
	w, err := dial(ctx, t)
	if err != nil {
		return Result{}, err
	}
	defer w.close()
	return w.send(raw, end)
}

// Send writes raw, inside TLS if the target has it, and ends the connection as end says.
// It reads the server's answer if end is HalfClose or Silence; [Exchange] always does.
func Send(ctx context.Context, t Target, raw []byte, end End) (Result, error) {
	w, err := open(ctx, t)
	if err != nil {
		return Result{}, err
	}
	defer w.close()
	return w.send(raw, end)
}

// Cut sends the first n bytes of raw, usually [Request.Bytes], and ends the connection as
// end says. n is limited to the length of raw.
func Cut(ctx context.Context, t Target, raw []byte, n int, end End) (Result, error) {
	return Send(ctx, t, raw[:max(0, min(n, len(raw)))], end)
}

// send writes raw, if it is not empty, and finishes.
func (w *wire) send(raw []byte, end End) (Result, error) {
	if len(raw) > 0 {
		if err := w.write(raw); err != nil {
			return w.res, err
		}
	}
	return w.finish(end)
}
