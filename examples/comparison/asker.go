package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// An asker has an open connection, on which it sends the same request again and again
// and reads an answer of a known length.
type asker struct {
	conn   net.Conn
	ask    []byte
	answer int
	begins string // what it begins with
	buf    []byte
}

// once sends one request.
func (a *asker) once() error {
	if _, err := a.conn.Write(a.ask); err != nil {
		return err
	}
	for left := a.answer; left > 0; {
		n, err := a.conn.Read(a.buf[:min(left, len(a.buf))])
		if left == a.answer && !bytes.HasPrefix(a.buf[:n], []byte(a.begins)) {
			return fmt.Errorf("answered %q", a.buf[:min(n, 200)])
		}
		if err != nil {
			return err
		}
		left -= n
	}
	return nil
}

// crowd is a number of askers that work at the same time.
type crowd []*asker

// run sends n requests in total.
func (c crowd) run(n int) error {
	var wg sync.WaitGroup
	failed := make(chan error, len(c))
	deadline := time.Now().Add(patience)
	for i, a := range c {
		wg.Go(func() {
			_ = a.conn.SetDeadline(deadline)
			for range n/len(c) + map[bool]int{true: 1}[i < n%len(c)] {
				if err := a.once(); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	return <-failed
}

func (c crowd) close() {
	for _, a := range c {
		_ = a.conn.Close()
	}
}

// dial connects.
func (c *child) dial() (net.Conn, error) { return c.dialFrom(0) }

// dialFrom connects from the i-th address of 127.0.0.0/8; all belong to this
// host, so that ports do not run out.
func (c *child) dialFrom(i int) (net.Conn, error) {
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, byte(1+i>>16), byte(i>>8), byte(i))}}
	return d.Dial("tcp", c.addr)
}

// anyCertificate trusts every server.
var anyCertificate = &tls.Config{InsecureSkipVerify: true}

// talk returns a connection for requests, with TLS if the server has it.
func (c *child) talk() (net.Conn, error) {
	nc, err := c.dial()
	if err != nil || !c.TLS {
		return nc, err
	}
	return tls.Client(nc, anyCertificate), nil
}

// requests returns askers on n connections, each with a request that has been answered
// 200.
func (c *child) requests(n int, head string) (crowd, error) {
	var all crowd
	for range n {
		nc, err := c.talk()
		if err != nil {
			return nil, err
		}
		counted := &counter{r: nc}
		answers := bufio.NewReader(counted)
		status := 0
		for end := time.Now().Add(patience); status != http.StatusOK; {
			counted.n = 0
			if status, err = exchange(nc, answers, head); err != nil {
				return nil, err
			}
			if time.Now().After(end) {
				return nil, fmt.Errorf("answered %d", status)
			}
		}
		all = append(all, &asker{conn: nc, ask: []byte(head), answer: counted.n, begins: "HTTP/1.1 200 ", buf: make([]byte, min(counted.n, 256<<10))})
	}
	return all, nil
}

// exchange sends one request and reads the answer.
func exchange(to io.Writer, answers *bufio.Reader, head string) (status int, err error) {
	if _, err := io.WriteString(to, head); err != nil {
		return 0, err
	}
	res, err := http.ReadResponse(answers, nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}
