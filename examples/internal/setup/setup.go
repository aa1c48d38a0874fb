// Package setup is what the example servers share and is not part of quietws: flags,
// log and the page on /.
package setup

import (
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

// Options are the values of the flags.
type Options struct {
	Addr      string
	Cert, Key string // files; "" for no TLS
	Drain     time.Duration
	Collapse  time.Duration
}

// Parse reads the flags and sets slog's default logger accordingly. Wrong flags end the
// program with status 2.
func Parse() Options {
	flags := flag.NewFlagSet(os.Args[0], flag.ExitOnError)
	o, err := parse(flags, os.Args[1:], os.Stderr)
	if err != nil {
		slog.Error("wrong flags", "error", err)
		os.Exit(2)
	}
	return o
}

func parse(flags *flag.FlagSet, args []string, log io.Writer) (Options, error) {
	var o Options
	flags.StringVar(&o.Addr, "addr", ":8080", "`address` to listen on")
	flags.StringVar(&o.Cert, "cert", "", "`file` with a certificate in PEM; with -key: serve TLS")
	flags.StringVar(&o.Key, "key", "", "`file` with its key in PEM")
	json := flags.Bool("json", false, "log in JSON instead of text")
	flags.DurationVar(&o.Drain, "drain", 9*time.Second, "how long a drain may take")
	flags.DurationVar(&o.Collapse, "collapse", time.Minute, "window in which repeats of a failure are counted instead of logged")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, errors.New("arguments are not expected: " + flags.Arg(0))
	}
	if _, _, err := net.SplitHostPort(o.Addr); err != nil {
		fix := "an address is host:port"
		if _, err := strconv.Atoi(o.Addr); err == nil {
			fix = "a port alone is written :" + o.Addr
		}
		return o, fmt.Errorf("-addr %s: %s", o.Addr, fix)
	}
	if *json {
		slog.SetDefault(slog.New(slog.NewJSONHandler(log, nil)))
	} else {
		slog.SetDefault(slog.New(slog.NewTextHandler(log, nil)))
	}
	if (o.Cert == "") != (o.Key == "") {
		return o, errors.New("-cert and -key go together")
	}
	return o, nil
}

//go:embed page.html
var page []byte

// Page answers with a page that shows what to try.
func Page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(page)
}
