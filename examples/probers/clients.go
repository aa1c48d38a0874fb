package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"

	coder "github.com/coder/websocket"
)

// The scripts open a session, say something, wait for it to come back and close.
// They end with status 0 if all of that worked.
const (
	pythonClient = `
import asyncio, ssl, sys, websockets
async def main(url):
    anything = None
    if url.startswith("wss"):
        anything = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anything.check_hostname, anything.verify_mode = False, ssl.CERT_NONE
    async with websockets.connect(url, ssl=anything) as ws:
        await ws.send("hello")
        heard = await ws.recv()
        assert heard == "hello", heard
    assert ws.close_code == 1000, ws.close_code
asyncio.run(main(sys.argv[1]))
`
	nodeClient = `
const WebSocket = require("ws");
const ws = new WebSocket(process.argv[1], { rejectUnauthorized: false });
let heard = "";
ws.on("open", () => ws.send("hello"));
ws.on("message", data => { heard = String(data); ws.close(1000); });
ws.on("close", code => process.exit(code === 1000 && heard === "hello" ? 0 : 1));
ws.on("error", err => { console.error(err); process.exit(1); });
`
)

// python is Debian's: another one in the path has not its modules.
const python = "/usr/bin/python3"

// clients are those that people use, one session each.
func clients(b *bench) []group {
	var scripts, libraries []row
	for _, overTLS := range []bool{false, true} {
		r := row{tls: overTLS, session: "ok", classes: []string{"session"}}
		for _, c := range []struct {
			program string
			version func() string
			do      func(*trial) error
			rows    *[]row
		}{
			{"python3-websockets", asked(python, "-c", "import websockets; print(websockets.__version__)"), script(python, "-c", pythonClient), &scripts},
			{"npm ws", func() string {
				return version("node", "-p", "require('"+filepath.Join(b.dir, "node_modules/ws/package.json")+"').version")
			}, script("node", "-e", nodeClient), &scripts},
			{"gorilla/websocket", of("github.com/gorilla/websocket"), gorillaClient, &libraries},
			{"coder/websocket", of("github.com/coder/websocket"), coderClient, &libraries},
		} {
			r.program, r.version, r.way, r.do = c.program, c.version, "a session", c.do
			*c.rows = append(*c.rows, r)
		}
	}
	return []group{{
		programs: []debian{{"/usr/lib/python3/dist-packages/websockets", "python3-websockets"}, {"node", "nodejs"}, {"npm", "npm"}},
		rows:     scripts,
		before: func() error {
			npm := exec.Command("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", b.dir, "ws@8")
			if out, err := npm.CombinedOutput(); err != nil {
				return fmt.Errorf("npm: %w\n%s", err, out)
			}
			return nil
		},
	}, {rows: libraries}}
}

// script returns what runs a script with the address of the server.
func script(args ...string) func(*trial) error {
	return func(t *trial) error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, args[0], append(args[1:], t.server.url("ws")+"/ws")...)
		cmd.Dir = t.dir // where npm has put its module
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		t.session = "ok"
		return nil
	}
}

func gorillaClient(t *trial) error {
	ws, res, err := t.server.dial()
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	if err := errors.Join(echoes(ws), over(ws)); err != nil {
		return err
	}
	t.session = "ok"
	return nil
}

func coderClient(t *trial) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	transport := &http.Transport{TLSClientConfig: anyCertificate}
	ws, _, err := coder.Dial(ctx, t.server.url("ws")+"/ws", &coder.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		return err
	}
	defer func() { _ = ws.CloseNow() }()
	if err := ws.Write(ctx, coder.MessageText, []byte("hello")); err != nil {
		return err
	}
	if _, heard, err := ws.Read(ctx); err != nil || string(heard) != "hello" {
		return fmt.Errorf("heard %q: %w", heard, err)
	}
	if err := ws.Close(coder.StatusNormalClosure, ""); err != nil {
		return err
	}
	t.session = "ok"
	return nil
}
