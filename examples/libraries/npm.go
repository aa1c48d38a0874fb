package main

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
)

// npmClient is the version of socket.io-client.
const npmClient = "socket.io-client@4.8.3"

//go:embed npm.js
var npmScript []byte

// npmFolder has the script and the client, which npm installs once.
var npmFolder = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "quietws-npm")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(dir+"/npm.cjs", npmScript, 0o600); err != nil {
		return dir, err
	}
	out, err := exec.Command("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", dir, npmClient).CombinedOutput()
	if err != nil {
		return dir, fmt.Errorf("npm install %s: %w\n%s", npmClient, err, out)
	}
	return dir, nil
})

// removeNPM removes what npm installed.
func removeNPM() {
	if dir, _ := npmFolder(); dir != "" {
		_ = os.RemoveAll(dir)
	}
}

// npm has the sessions of r on c by npm's client, and terminates c.
func (r *row) npm(c *child) {
	defer c.kill()
	dir, err := npmFolder()
	if err != nil {
		r.problem("%v", err)
		return
	}
	scheme := "http"
	if c.tls {
		scheme = "https"
	}
	var log logbook
	cmd := exec.Command("node", dir+"/npm.cjs", scheme+"://"+c.addr, strconv.Itoa(r.sessions), strconv.FormatInt(c.pace.Milliseconds(), 10))
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		r.problem("%v", err)
		return
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "warm" { // it has its own patience
		r.problem("npm's client: %s %s", lines.Text(), log.String())
		return
	}
	if r.drain, err = c.terminate(); err != nil {
		r.problem("%v", err)
	}
	var seen struct{ Goodbyes, Intact int }
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &seen) != nil {
		r.problem("npm's client: %s %s", lines.Text(), log.String())
		return
	}
	r.goodbyes, r.intact, r.nothingAfter = seen.Goodbyes, seen.Intact, seen.Intact
	if r.setup != bare {
		r.answered = int(number(c.drained()["answered"]))
	}
}
