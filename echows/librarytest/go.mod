module github.com/quietws/quietws/echows/librarytest

go 1.25.0

require (
	github.com/coder/websocket v1.8.15
	github.com/gorilla/websocket v1.5.3
	github.com/labstack/echo/v4 v4.15.0
	github.com/quietws/quietws v0.2.0
	github.com/quietws/quietws/echows v0.2.0
	golang.org/x/net v0.48.0
)

require (
	github.com/labstack/gommon v0.4.2 // indirect
	github.com/mattn/go-colorable v0.1.14 // indirect
	github.com/mattn/go-isatty v0.0.20 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
	github.com/valyala/fasttemplate v1.2.2 // indirect
	golang.org/x/crypto v0.46.0 // indirect
	golang.org/x/sys v0.39.0 // indirect
	golang.org/x/text v0.32.0 // indirect
	golang.org/x/time v0.14.0 // indirect
)

replace github.com/quietws/quietws => ../..

replace github.com/quietws/quietws/echows => ..
