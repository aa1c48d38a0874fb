package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// chromium opens the page of every server, which opens a session, and sends a message
// like a user. It is controlled over its own protocol, DevTools.
func chromium() group {
	var rows []row
	for _, overTLS := range []bool{false, true} {
		rows = append(rows, row{
			program: "Chromium", version: asked("chromium", "--version"), way: "the page on /", tls: overTLS, session: "ok", classes: []string{"http", "session"},
			// Connections that a browser keeps at hand, or gives up.
			spare: []string{"tcp_probe unknown", "tls_probe unknown", "idle_connect", "tls_failed"}, most: 3,
		})
	}
	return group{
		programs: []debian{{"chromium", "chromium"}},
		rows:     rows,
		all: func(b *bench, all []*trial) error {
			home := filepath.Join(b.dir, "chromium")
			if err := os.MkdirAll(home, 0o700); err != nil {
				return err
			}
			browser, err := startProcess(home, nil, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
				"--no-first-run", "--disable-background-networking", "--ignore-certificate-errors", "--remote-allow-origins=*",
				"--user-data-dir="+home, "--remote-debugging-port=0", "about:blank")
			if err != nil {
				return err
			}
			defer browser.stop()
			at, err := devTools(filepath.Join(home, "DevToolsActivePort"))
			if err != nil {
				return fmt.Errorf("%w: %s", err, browser.log)
			}
			each(all, func(t *trial) error {
				if err := visit(at, t.server.url("http")+"/"); err != nil {
					return err
				}
				t.session = "ok"
				return nil
			})
			return nil
		},
	}
}

// devTools waits until the browser has written where it listens.
func devTools(file string) (string, error) {
	for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(50 * time.Millisecond) {
		if said, err := os.ReadFile(file); err == nil && strings.Contains(string(said), "\n") {
			port, _, _ := strings.Cut(string(said), "\n")
			return "127.0.0.1:" + port, nil
		}
	}
	return "", fmt.Errorf("no DevTools")
}

// inPage sends a message from the page like a user, waits for the echo, and leaves the
// page.
const inPage = `new Promise((done, fail) => {
	const log = document.getElementById("log"), form = document.querySelector("form");
	const end = Date.now() + 20000;
	let sent = false;
	const look = () => {
		if (sent && log.textContent.includes("← from a page")) { done("heard"); return }
		if (!sent && log.textContent.includes("open")) {
			sent = true;
			form.text.value = "from a page";
			form.requestSubmit();
		}
		if (Date.now() > end) { fail(new Error(log.textContent)); return }
		setTimeout(look, 20);
	};
	look();
})`

// visit opens a page in a tab of its own, talks in it, and closes the tab.
func visit(devTools, page string) error {
	r, err := http.NewRequest(http.MethodPut, "http://"+devTools+"/json/new?"+url.QueryEscape(page), nil)
	if err != nil {
		return err
	}
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	var tab struct {
		ID  string `json:"id"`
		URL string `json:"webSocketDebuggerUrl"`
	}
	if err := json.NewDecoder(res.Body).Decode(&tab); err != nil {
		return err
	}
	ws, res, err := websocket.DefaultDialer.Dial(tab.URL, nil)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	defer func() { _ = ws.Close() }()
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	for id := 1; ; id++ { // the page may not be there yet
		said, err := evaluate(ws, id, inPage)
		if err != nil {
			return err
		}
		if strings.Contains(said, `"heard"`) {
			break
		}
		if id > 100 {
			return fmt.Errorf("%s says %s", page, said)
		}
		<-time.After(50 * time.Millisecond)
	}
	closed, err := client.Get("http://" + devTools + "/json/close/" + tab.ID)
	if err != nil {
		return err
	}
	return closed.Body.Close()
}

// evaluate runs a script in a page and returns what DevTools says of it.
func evaluate(ws *websocket.Conn, id int, script string) (string, error) {
	err := ws.WriteJSON(map[string]any{
		"id": id, "method": "Runtime.evaluate",
		"params": map[string]any{"expression": script, "awaitPromise": true},
	})
	for err == nil {
		var said []byte
		if _, said, err = ws.ReadMessage(); err != nil {
			break
		}
		var answer struct{ ID int }
		if err = json.Unmarshal(said, &answer); err == nil && answer.ID == id {
			return string(said), nil
		}
	}
	return "", err
}
