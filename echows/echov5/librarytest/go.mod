module github.com/quietws/quietws/echows/echov5/librarytest

go 1.25.0

require (
	github.com/coder/websocket v1.8.15
	github.com/gorilla/websocket v1.5.3
	github.com/labstack/echo/v5 v5.1.0
	github.com/quietws/quietws v0.2.0
	github.com/quietws/quietws/echows/echov5 v0.2.0
)

require golang.org/x/time v0.14.0 // indirect

replace github.com/quietws/quietws => ../../..

replace github.com/quietws/quietws/echows/echov5 => ..
