package probetest

import (
	"context"
	"crypto/tls"
	"errors"
	"go/parser"
	"go/token"
	"net/http"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// outcome is what a scenario must get from net/http with a strict RFC 6455 server.
// status 0: no HTTP answer.
type outcome struct {
	status int
	ending Ending
	fault  bool // Result.Err is set
}

var outcomes = map[string]outcome{
	"tcp-connect-fin":                {},
	"tcp-connect-rst":                {},
	"tcp-connect-silent":             {ending: StillOpen},
	"tls-handshake-fin":              {},
	"tls-handshake-rst":              {},
	"tls-handshake-silent":           {ending: StillOpen},
	"tls-hello-cut-fin":              {},
	"tls-hello-cut-rst":              {},
	"tls-hello-cut-silent":           {ending: StillOpen},
	"tls-certificate-refused":        {ending: ByFIN, fault: true},
	"tls-no-common-version":          {ending: ByFIN, fault: true},
	"tls-no-common-cipher":           {ending: ByFIN, fault: true},
	"http-on-tls":                    {status: 400},
	"tls-on-plain":                   {ending: ByFIN, fault: true},
	"proxy-v1-fin":                   {},
	"proxy-v1-rst":                   {},
	"proxy-v1-unknown-fin":           {},
	"proxy-v1-unknown-rst":           {},
	"proxy-v2-local-fin":             {},
	"proxy-v2-local-rst":             {},
	"proxy-v2-fin":                   {},
	"proxy-v1-request":               {status: 400},
	"proxy-v2-request":               {status: 400},
	"health-kubelet":                 {status: 200},
	"health-alb":                     {status: 200},
	"health-google":                  {status: 200},
	"health-route53":                 {status: 200},
	"health-front-door-head":         {status: 200},
	"health-haproxy-options":         {status: 200},
	"health-tengine":                 {status: 200},
	"health-keepalived":              {status: 200},
	"health-consul":                  {status: 200},
	"health-envoy":                   {status: 200},
	"health-curl":                    {status: 200},
	"websocket-path-alb":             {status: 426},
	"websocket-path-front-door-head": {status: 405},
	"options-star":                   {status: 200},
	"h2-preface":                     {status: 400},
	"request-cut-fin":                {},
	"request-cut-half-close":         {status: 400, ending: ByFIN},
	"request-cut-rst":                {},
	"request-cut-silent":             {ending: StillOpen},
	"junk-random":                    {status: 400, ending: ByFIN},
	"junk-huge-header":               {status: 431},
	"junk-many-fields":               {status: tooManyFields()},
	"junk-nul":                       {status: 400},
	"junk-bad-host":                  {status: 400},
	"junk-two-hosts":                 {status: 400},
	"junk-no-host":                   {status: 400},
	"junk-transfer-encoding":         {status: 501},
	"junk-expect":                    {status: 417},
	"junk-http-3-0":                  {status: 505},
	"junk-http-0-9":                  {status: 400},
	"junk-method":                    {status: 404},
	"handshake-valid":                {status: 101, ending: ByFIN},
	"handshake-split-connection":     {status: 101, ending: ByFIN},
	"handshake-odd-case":             {status: 101, ending: ByFIN},
	"handshake-token-lists":          {status: 101, ending: ByFIN},
	"handshake-empty-item":           {status: 101, ending: ByFIN},
	"handshake-early-data":           {status: 101, ending: ByFIN},
	"handshake-no-upgrade":           {status: 426},
	"handshake-no-connection":        {status: 426},
	"handshake-through-nginx":        {status: 426},
	"handshake-through-apache":       {status: 426},
	"handshake-through-varnish":      {status: 426},
	"handshake-http-1-0":             {status: 426},
	"handshake-http-2":               {status: 426},
	"handshake-post":                 {status: 405},
	"handshake-head":                 {status: 405},
	"handshake-plain-get":            {status: 426},
	"handshake-version-8":            {status: 400},
	"handshake-no-key":               {status: 400},
	"handshake-two-keys":             {status: 400},
	"handshake-bad-key":              {status: 400},
	"handshake-foreign-origin":       {status: 403},
	"session-vanish-fin":             {status: 101},
	"session-vanish-rst":             {status: 101},
}

func TestScenariosAgainstNetHTTP(t *testing.T) {
	for _, p := range ports {
		t.Run(p.name, func(t *testing.T) {
			target := serve(t, p.port)
			for _, s := range Scenarios() {
				if !s.Port.allows(p.port) {
					continue
				}
				t.Run(s.Name, func(t *testing.T) {
					want, known := outcomes[s.Name]
					if !known {
						t.Fatal("no row in outcomes")
					}
					if p.port != PlainPort && strings.HasSuffix(s.Name, "-request") {
						want = outcome{ending: ByFIN, fault: true} // the server expects a ClientHello, not a preamble
					}
					res, err := Result{}, error(nil)
					if s.Waits {
						untilDelivered(t, func(ctx context.Context) bool { res, err = s.Run(ctx, target); return err == nil })
					} else {
						res, err = s.Run(patient(t), target)
					}
					if err != nil {
						t.Fatal(err)
					}
					if res.Ending == ByRST && want.ending == ByFIN && want.fault {
						res.Ending = ByFIN // closed before our bytes arrived
					}
					if got := (outcome{res.Status, res.Ending, res.Err != nil}); got != want {
						t.Errorf("got %+v, want %+v (Err: %v, Body: %q)", got, want, res.Err, res.Body)
					}
					if want.status == 101 && want.ending == ByFIN && res.CloseCode != 1000 {
						t.Errorf("close code %d, want 1000", res.CloseCode)
					}
					if res.Local.Port() == 0 {
						t.Error("Result.Local is not set")
					}
				})
			}
		})
	}
}

func TestScenariosThatWaitEndWithTheServer(t *testing.T) {
	for _, p := range ports[:2] {
		for _, s := range Scenarios() {
			if !s.Waits || !s.Port.allows(p.port) {
				continue
			}
			t.Run(p.name+"/"+s.Name, func(t *testing.T) {
				res, err := Result{}, error(nil)
				for _, d := range []time.Duration{50 * time.Millisecond, time.Second, 10 * time.Second} {
					// ReadTimeout limits the TLS handshake too, which takes some time.
					target := serve(t, p.port, func(s *http.Server) { s.ReadTimeout = d })
					if res, err = s.Run(patient(t), target); err == nil {
						break
					}
				}
				if err != nil || res.Ending != ByFIN && res.Ending != ByRST {
					t.Errorf("ending %v, error %v; the server's timeout must end it", res.Ending, err)
				}
			})
		}
	}
}

func TestScenariosEndWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(patient(t))
	cancel()
	for _, s := range Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			if _, err := s.Run(ctx, Target{Addr: "127.0.0.1:1", TLS: &tls.Config{}}); !errors.Is(err, context.Canceled) {
				t.Errorf("error is %v, want context.Canceled", err)
			}
		})
	}
}

func TestScenariosNameWhatTheyAre(t *testing.T) {
	name := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	seen := map[string]bool{}
	for _, s := range Scenarios() {
		switch {
		case !name.MatchString(s.Name):
			t.Errorf("%q: a name is lower case with hyphens", s.Name)
		case seen[s.Name]:
			t.Errorf("%q appears twice", s.Name)
		case s.Who == "" || s.Run == nil:
			t.Errorf("%q lacks a field", s.Name)
		case s.Waits != strings.HasSuffix(s.Name, "-silent"):
			t.Errorf("%q: Waits is %v", s.Name, s.Waits)
		}
		seen[s.Name] = true
		if found, ok := Find(s.Name); !ok || found.Who != s.Who {
			t.Errorf("Find(%q) gives %q, %v", s.Name, found.Name, ok)
		}
	}
	if len(seen) != len(outcomes) {
		t.Errorf("%d scenarios, %d outcomes", len(seen), len(outcomes))
	}
	if _, ok := Find("nothing-of-the-kind"); ok {
		t.Error("Find finds an unknown name")
	}
}

func TestScenariosIsTheCallersSlice(t *testing.T) {
	Scenarios()[0].Name = "changed"
	if Scenarios()[0].Name == "changed" {
		t.Error("the next caller sees a change of the slice")
	}
}

func TestWordsOfKindsAndPorts(t *testing.T) {
	words := []string{
		Probe.String(), Failure.String(), Legal.String(),
		AnyPort.String(), PlainPort.String(), TLSPort.String(), HTTP2Port.String(),
		FIN.String(), RST.String(), HalfClose.String(), Silence.String(),
		ByClient.String(), ByFIN.String(), ByRST.String(), StillOpen.String(),
	}
	const want = "probe failure legal any plain tls http2 fin rst half-close silence client fin rst open"
	if got := strings.Join(words, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// The package works with any server because it depends on none.
func TestImportsTheStandardLibraryOnly(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") {
				t.Errorf("%s imports %s", file, path)
			}
		}
	}
}

// tooManyFields is the status of a request with more fields than http.Server accepts since
// Go 1.27.
func tooManyFields() int {
	if _, limited := reflect.TypeFor[http.Server]().FieldByName("MaxHeaderValueCount"); limited {
		return http.StatusRequestHeaderFieldsTooLarge
	}
	return http.StatusNotFound
}
