package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/quietws/quietws/core/probetest"
)

// minute is the number of probes in a minute, at one every five seconds.
const minute = 12

var scenes = []scene{
	{
		name: "tls", what: "a platform that opens a TCP connection every five seconds, on a TLS port, for a minute (net/http)",
		tls: true, serve: serveNetHTTP, drive: repeat(probetest.FIN),
	},
	{
		name: "plain", what: "the same on a plain port",
		serve: serveNetHTTP, drive: repeat(probetest.FIN),
	},
	{
		name: "fiber", what: "a load balancer that resets its TCP checks, for a minute (Fiber, an ErrorHandler that logs)",
		serve: serveFiber, drive: repeat(probetest.RST),
	},
	{
		name: "vanish", what: "a client that vanishes, and the access log (Echo, gorilla/websocket)",
		access: true, serve: serveEcho, drive: vanish, last: "access",
	},
	{
		name: "nginx", what: "a user behind nginx as its proxy_pass is by default (Echo, gorilla/websocket)",
		serve: serveEcho, drive: throughNginx,
	},
	{
		name: "deploy", what: "SIGTERM with a session open (Echo, gorilla/websocket)",
		serve: serveEcho, deploy: deploy,
	},
}

func (s scene) target(addr string) probetest.Target {
	t := probetest.Target{Addr: addr}
	if s.tls {
		t.TLS = &tls.Config{InsecureSkipVerify: true} // the server's own, just made
	}
	return t
}

func repeat(end probetest.End) func(context.Context, probetest.Target, func(string)) error {
	return func(ctx context.Context, t probetest.Target, _ func(string)) error {
		for range minute {
			if _, err := probetest.Connect(ctx, t, end); err != nil {
				return err
			}
		}
		return nil
	}
}

func vanish(ctx context.Context, t probetest.Target, _ func(string)) error {
	session, _, err := probetest.Open(ctx, t)
	if err != nil {
		return err
	}
	_, err = session.Vanish(probetest.FIN)
	return err
}

func throughNginx(ctx context.Context, t probetest.Target, say func(string)) error {
	res, err := probetest.Handshake(ctx, t, probetest.ThroughNginx("/ws"))
	if err == nil {
		say(fmt.Sprintf("the user gets: %d %s", res.Status, http.StatusText(res.Status)))
	}
	return err
}

func deploy(ctx context.Context, t probetest.Target, sigterm func() error, say func(string)) error {
	session, _, err := probetest.Open(ctx, t)
	if err != nil {
		return err
	}
	if err := sigterm(); err != nil {
		return err
	}
	f, err := session.Read(ctx)
	switch {
	case err == nil && f.Opcode == probetest.OpClose:
		say(fmt.Sprintf("the client gets: a close frame, code %d", f.Code()))
		_, err = session.Close(ctx, f.Code())
		return err
	case errors.Is(err, io.EOF):
		say("the client gets: the end of the connection without a close frame, which its library calls 1006")
		return nil
	}
	return fmt.Errorf("frame %+v: %w", f, err)
}
