package librarytest

import (
	"context"
	"errors"
	"net/http"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/coretest"
)

// socket is the WebSocket route k: coder/websocket if it is wholly the guard's,
// gorilla/websocket if it is the application's. Without a guard it is an ordinary route.
func socket(g *core.Guard, k coretest.Socket) http.HandlerFunc {
	switch {
	case k.Family == coretest.Handler:
		return coderRoute(g, k)
	case k.Family == coretest.Endpoint && g != nil:
		return g.Endpoint(gorillaRoute(k)).ServeHTTP
	}
	return gorillaRoute(k)
}

// coderRoute serves coder/websocket like an adapter's Handler.
func coderRoute(g *core.Guard, k coretest.Socket) http.HandlerFunc {
	options := &coder.AcceptOptions{Subprotocols: []string{coretest.Subprotocol}, CompressionMode: coder.CompressionContextTakeover}
	serve := func(ctx context.Context, ws *coder.Conn) error {
		return k.Session(func() error {
			typ, b, err := ws.Read(ctx)
			if err == nil {
				err = ws.Write(ctx, typ, b)
			}
			return err
		})
	}
	if g == nil {
		return func(w http.ResponseWriter, r *http.Request) {
			if ws, err := coder.Accept(w, r, options); err == nil {
				defer func() { _ = ws.CloseNow() }()
				_ = serve(r.Context(), ws)
			}
		}
	}
	a := g.Adapter()
	options.InsecureSkipVerify = true // the core checks the origin
	return func(w http.ResponseWriter, r *http.Request) {
		q := a.AtEndpoint(r, k.Path, new(core.Origins))
		if q.Answer(w, r) {
			return
		}
		w, r = q.Wrap(w, r)
		defer func() { q.Contain(recover()) }()
		ws, err := coder.Accept(w, r, options)
		if err == nil {
			err = func() error {
				defer func() { _ = ws.CloseNow() }()
				ctx, session := q.Session(r.Context())
				return session.Serve(func(code int, _ bool) error { return ws.Close(coder.StatusCode(code), "") },
					func() error { return serve(ctx, ws) })
			}()
		}
		_ = q.Finish(err)
	}
}

// gorillaRoute is an application's WebSocket route. Handlers of net/http return no error,
// so it calls Ended itself.
func gorillaRoute(k coretest.Socket) http.HandlerFunc {
	up := gorilla.Upgrader{Subprotocols: []string{coretest.Subprotocol}, EnableCompression: true}
	return func(w http.ResponseWriter, r *http.Request) {
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		session := core.SessionOf(r.Context())
		if k.Family == coretest.Endpoint {
			session.OnDrain(func() {
				_ = ws.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(gorilla.CloseGoingAway, ""), time.Now().Add(time.Second))
			})
		}
		echo := func() error {
			typ, b, err := ws.ReadMessage()
			if err == nil {
				err = ws.WriteMessage(typ, b)
			}
			if closed := (*gorilla.CloseError)(nil); errors.As(err, &closed) {
				session.Ended(closed.Code)
			}
			return err
		}
		if k.Early() {
			go func() { _ = k.Session(echo); _ = ws.Close() }()
			return
		}
		if !k.LeavesOpen() {
			defer func() { _ = ws.Close() }()
		}
		if err := k.Session(echo); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError) // as one writes it without thinking of the hijack
		}
	}
}
