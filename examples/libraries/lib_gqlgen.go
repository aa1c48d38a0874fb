package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	coder "github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

// gqlgenSchema is what gqlgen would generate, by hand: a query that echoes, and a
// subscription to the pushes.
type gqlgenSchema struct{ schema *ast.Schema }

func (s gqlgenSchema) Schema() *ast.Schema { return s.schema }

func (gqlgenSchema) Complexity(context.Context, string, string, int, map[string]any) (int, bool) {
	return 0, false
}

// Exec implements graphql.ExecutableSchema.
func (gqlgenSchema) Exec(ctx context.Context) graphql.ResponseHandler {
	operation := graphql.GetOperationContext(ctx)
	if operation.Operation.Operation != ast.Subscription {
		m, _ := operation.Variables["m"].(string)
		return graphql.OneShot(&graphql.Response{Data: gqlgenData(m)})
	}
	messages := make(chan []byte)
	t := talkOver(wire{send: func(_ bool, p []byte) error {
		select {
		case messages <- p:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}})
	context.AfterFunc(ctx, t.over)
	return func(ctx context.Context) *graphql.Response {
		select {
		case p := <-messages:
			return &graphql.Response{Data: gqlgenData(string(p))}
		case <-ctx.Done():
			return nil
		}
	}
}

func gqlgenData(m string) json.RawMessage {
	b, _ := json.Marshal(map[string]string{"m": m})
	return b
}

func gqlgenApp(deflate bool) (http.Handler, error) {
	schema, err := gqlparser.LoadSchema(&ast.Source{Name: "schema", Input: `
		type Query { m(m: String!): String! }
		type Subscription { m: String! }`})
	if err != nil {
		return nil, err
	}
	mode := coder.CompressionDisabled
	if deflate {
		mode = coder.CompressionNoContextTakeover
	}
	limit := int64(2 * longest)
	srv := handler.New(gqlgenSchema{schema})
	srv.AddTransport(transport.Websocket{
		Implementation:   transport.CoderWebsocketImplementation{AcceptOptions: coder.AcceptOptions{CompressionMode: mode}},
		PayloadReadLimit: &limit,
		// The one way in which an application chooses a close code.
		InitFunc: func(ctx context.Context, p transport.InitPayload) (context.Context, *transport.InitPayload, error) {
			if code, ok := p["code"].(float64); ok {
				return transport.WithWebsocketCloseCode(ctx, int(code)), nil, errors.New("not for you")
			}
			return ctx, nil, nil
		},
	})
	return srv, nil
}
