package main

import (
	"os"
	"path/filepath"
)

func files(b *bench) (rows []row, err error) {
	name := filepath.Join(b.dir, "file")
	if err := os.WriteFile(name, make([]byte, 32<<20), 0o600); err != nil {
		return nil, err
	}
	for _, f := range web {
		servers := ordinary(f, quiet)
		for i := range servers {
			servers[i].File = name
		}
		more, err := b.rowsOf(trial{
			servers: servers, n: 4,
			open: func(_ *bench, c *child) (load, error) {
				return c.requests(2, "GET /file HTTP/1.1\r\nHost: localhost\r\n\r\n")
			},
		}, "file of 32 MiB, CPU of the server", f, 1.02)
		rows = append(rows, more...)
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}
