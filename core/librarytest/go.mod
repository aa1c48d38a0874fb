module github.com/quietws/quietws/core/librarytest

go 1.25.0

require (
	github.com/coder/websocket v1.8.15
	github.com/gorilla/websocket v1.5.3
	github.com/quietws/quietws v0.2.0
	go.uber.org/goleak v1.3.0
	golang.org/x/net v0.48.0
)

require golang.org/x/text v0.32.0 // indirect

replace github.com/quietws/quietws => ../..
