module github.com/quietws/quietws/examples/probers

go 1.25.0

require github.com/gorilla/websocket v1.5.3
