module github.com/quietws/quietws/examples/chi

go 1.25.0

require (
	github.com/go-chi/chi/v5 v5.2.3
	github.com/quietws/quietws v0.2.0
)

replace github.com/quietws/quietws => ../..
