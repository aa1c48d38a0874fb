module github.com/quietws/quietws/examples/chi

go 1.25.0

require (
	github.com/go-chi/chi/v5 v5.2.3
	github.com/quietws/quietws v0.0.0
)

require (
	github.com/coder/websocket v1.8.15 // indirect
	github.com/gorilla/websocket v1.5.3 // indirect
)

replace github.com/quietws/quietws => ../..
