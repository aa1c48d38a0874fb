package httpapp

import (
	"errors"
	"net/http"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/coretest"
	"github.com/quietws/quietws/internal/plainws"
)

// Sockets makes the handler of a WebSocket route with the library under test. The guard is
// nil in an application without one.
type Sockets func(*core.Guard, coretest.Socket) http.HandlerFunc

// Plain are sockets that use only the standard library, to test a router.
func Plain(g *core.Guard, k coretest.Socket) http.HandlerFunc {
	switch {
	case k.Family == coretest.Handler && g != nil:
		return plainHandler(g, k)
	case k.Family == coretest.Endpoint && g != nil:
		return g.Endpoint(plainRoute(k)).ServeHTTP
	}
	return plainRoute(k)
}

// plainHandler serves k as an adapter's Handler does.
func plainHandler(g *core.Guard, k coretest.Socket) http.HandlerFunc {
	a := g.Adapter()
	options := &plainws.Options{Subprotocols: []string{coretest.Subprotocol}, ByWriter: true, AnyOrigin: true} // the core compares
	return func(w http.ResponseWriter, r *http.Request) {
		q := a.AtEndpoint(r, k.Path, new(core.Origins))
		if q.Answer(w, r) {
			return
		}
		w, r = q.Wrap(w, r)
		defer func() { q.Contain(recover()) }()
		ws, err := plainws.Upgrade(w, r, options)
		if err == nil {
			err = func() error {
				defer func() { _ = ws.Close() }()
				_, session := q.Session(r.Context())
				return session.Serve(func(code int, alone bool) error { return goodbye(ws, code, alone) },
					func() error { return k.Session(func() error { return echo(ws) }) })
			}()
		}
		_ = q.Finish(err)
	}
}

// goodbye sends a close frame, and reads the answer if no other goroutine does.
func goodbye(ws *plainws.Conn, code int, alone bool) error {
	err := ws.Goodbye(code)
	if err == nil && !alone {
		err = errors.New("the answer is another's to read")
	}
	for err == nil {
		_, _, err = ws.Read()
	}
	return err
}

func echo(ws *plainws.Conn) error {
	kind, message, err := ws.Read()
	if err == nil {
		err = ws.Write(kind, message)
	}
	return err
}

// plainRoute is WebSocket as in an application. Handlers of net/http return no error, so
// it reports the close code itself.
func plainRoute(k coretest.Socket) http.HandlerFunc {
	handler := k.Family == coretest.Handler
	options := &plainws.Options{Subprotocols: []string{coretest.Subprotocol}, ByWriter: handler, NotEarly: !handler}
	return func(w http.ResponseWriter, r *http.Request) {
		ws, err := plainws.Upgrade(w, r, options)
		if err != nil {
			return
		}
		session := core.SessionOf(r.Context())
		if k.Family == coretest.Endpoint {
			session.OnDrain(func() { _ = ws.Goodbye(plainws.GoingAway) })
		}
		echo := func() error {
			err := echo(ws)
			if closed := (plainws.CloseError{}); errors.As(err, &closed) {
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
			http.Error(w, err.Error(), http.StatusInternalServerError) // a common mistake after a hijack
		}
	}
}
