package main

// browser is a request as a browser sends it.
const browser = "GET /app HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Encoding: gzip, deflate, br\r\n" +
	"Accept-Language: en-GB,en;q=0.7\r\nCookie: session=0123456789abcdef0123456789abcdef\r\n\r\n"

// connections is the number of open connections, enough to keep the server busy.
const connections = 16

// web are the frameworks, and net/http.
var web = []string{"nethttp", "echo", "gin", "fiber"}

func requests(b *bench) (rows []row, err error) {
	for _, f := range web {
		more, err := b.rowsOf(trial{
			servers: ordinary(f, quiet), n: 2000,
			open: func(_ *bench, c *child) (load, error) { return c.requests(connections, browser) },
		}, "ordinary request, CPU of the server", f, 1.03)
		if err != nil {
			return rows, err
		}
		for i := range more {
			more[i].with = "Listener, Attach"
		}
		rows = append(rows, more...)
	}
	return rows, nil
}
