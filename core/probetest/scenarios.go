package probetest

import (
	"context"
	"slices"
)

// Kind says what a scenario means to an operator.
type Kind uint8

const (
	// Probe asks whether the server is alive; a server that fits its platform gives it
	// a good answer.
	Probe Kind = iota
	// Failure is an error on the way or at the client, or an attack.
	Failure
	// Legal is a client that a server must serve, however unusual it looks.
	Legal
)

// String returns "probe", "failure" or "legal".
func (k Kind) String() string { return [...]string{"probe", "failure", "legal", ""}[k&3] }

// Port is the kind of port that a scenario is for.
type Port uint8

const (
	// AnyPort is a port with or without TLS.
	AnyPort Port = iota
	// PlainPort is a port without TLS.
	PlainPort
	// TLSPort is a port with TLS.
	TLSPort
	// HTTP2Port is a port with TLS that negotiates h2.
	HTTP2Port
)

// String returns "any", "plain", "tls" or "http2".
func (p Port) String() string { return [...]string{"any", "plain", "tls", "http2"}[p&3] }

// Scenario is one thing that happens to servers, such as a probe or a broken client.
type Scenario struct {
	// Name is stable: lower case, with hyphens.
	Name string
	// Who does this in practice, and what it is.
	Who  string
	Kind Kind
	Port Port
	// Waits is true if it ends only when the server closes the connection or the
	// context ends.
	Waits bool
	// Run runs it once.
	Run func(context.Context, Target) (Result, error)
}

// Find returns the scenario of that name.
func Find(name string) (Scenario, bool) {
	all := Scenarios()
	i := slices.IndexFunc(all, func(s Scenario) bool { return s.Name == name })
	if i < 0 {
		return Scenario{}, false
	}
	return all[i], true
}

// Scenarios returns all scenarios. The slice is the caller's.
func Scenarios() []Scenario {
	return slices.Concat(transport(), preambles(), health(), requests(), handshakes(), sessions())
}

type run = func(context.Context, Target) (Result, error)

func transport() []Scenario {
	tcp := func(e End) run {
		return func(ctx context.Context, t Target) (Result, error) { return Connect(ctx, t, e) }
	}
	tls := func(e End) run {
		return func(ctx context.Context, t Target) (Result, error) { return HandshakeTLS(ctx, t, e) }
	}
	hello := func(e End) run {
		return func(ctx context.Context, t Target) (Result, error) { return CutHello(ctx, t, e) }
	}
	return []Scenario{
		{"tcp-connect-fin", "kubelet, Azure Container Apps, AWS NLB, Consul: connect and close", Probe, AnyPort, false, tcp(FIN)},
		{"tcp-connect-rst", "HAProxy, Alibaba, Tencent, Huawei, Azure Traffic Manager: connect and reset", Probe, AnyPort, false, tcp(RST)},
		{"tcp-connect-silent", "a browser's spare connection, a path with an MTU problem, a slow attack: connect and send nothing", Failure, AnyPort, true, tcp(Silence)},
		{"tls-handshake-fin", "Google Cloud's SSL health check: a TLS handshake, close_notify and FIN", Probe, TLSPort, false, tls(FIN)},
		{"tls-handshake-rst", "HAProxy with check-ssl: a TLS handshake and a reset", Probe, TLSPort, false, tls(RST)},
		{"tls-handshake-silent", "a browser's spare connection: only a TLS handshake", Failure, TLSPort, true, tls(Silence)},
		{"tls-hello-cut-fin", "a scanner or a client that was killed: half a ClientHello and FIN", Failure, TLSPort, false, hello(FIN)},
		{"tls-hello-cut-rst", "a client behind a firewall that resets: half a ClientHello and RST", Failure, TLSPort, false, hello(RST)},
		{"tls-hello-cut-silent", "a path that loses large packets: half a ClientHello, and the rest never comes", Failure, TLSPort, true, hello(Silence)},
		{"tls-certificate-refused", "a client that does not trust the server's certificate", Failure, TLSPort, false, RefuseCertificate},
		{"tls-no-common-version", "an old device or a scanner that supports only TLS 1.0 and 1.1", Failure, TLSPort, false, NoCommonVersion},
		{"tls-no-common-cipher", "an old device or a scanner that offers only RC4", Failure, TLSPort, false, NoCommonCipher},
		{"http-on-tls", "a client or balancer whose URL says http or ws to a TLS port", Failure, TLSPort, false, HTTPOnTLS},
		{"tls-on-plain", "a client or balancer whose URL says https or wss to a plain port", Failure, PlainPort, false, TLSOnPlain},
	}
}

func preambles() []Scenario {
	alone := func(p Preamble, e End) run {
		return func(ctx context.Context, t Target) (Result, error) { return SendPreamble(ctx, t, p, e) }
	}
	request := func(p Preamble) run {
		return func(ctx context.Context, t Target) (Result, error) {
			return PreambleRequest(ctx, t, p, WebSocket(t.path()))
		}
	}
	return []Scenario{
		{"proxy-v1-fin", "Envoy's TCP check with a PROXY v1 line: the line and FIN", Probe, AnyPort, false, alone(ProxyV1, FIN)},
		{"proxy-v1-rst", "HAProxy's check with send-proxy: the v1 line and RST", Probe, AnyPort, false, alone(ProxyV1, RST)},
		{"proxy-v1-unknown-fin", "an older HAProxy with option linger: PROXY UNKNOWN and FIN", Probe, AnyPort, false, alone(ProxyV1Unknown, FIN)},
		{"proxy-v1-unknown-rst", "an older HAProxy: PROXY UNKNOWN and RST", Probe, AnyPort, false, alone(ProxyV1Unknown, RST)},
		{"proxy-v2-local-fin", "AWS NLB with proxy_protocol_v2, Envoy: v2 LOCAL and FIN", Probe, AnyPort, false, alone(ProxyV2Local, FIN)},
		{"proxy-v2-local-rst", "HAProxy's check with send-proxy-v2: v2 LOCAL and RST", Probe, AnyPort, false, alone(ProxyV2Local, RST)},
		{"proxy-v2-fin", "a probe through a TCP balancer with PROXY v2: addresses and FIN", Probe, AnyPort, false, alone(ProxyV2, FIN)},
		{"proxy-v1-request", "a balancer that speaks PROXY v1 to a server which does not expect it", Failure, AnyPort, false, request(ProxyV1)},
		{"proxy-v2-request", "a balancer that speaks PROXY v2 to a server which does not expect it", Failure, AnyPort, false, request(ProxyV2)},
	}
}

func health() []Scenario {
	at := func(make func(string) Request) run {
		return func(ctx context.Context, t Target) (Result, error) { return Do(ctx, t, make(t.health())) }
	}
	onSocket := func(make func(string) Request) run {
		return func(ctx context.Context, t Target) (Result, error) { return Do(ctx, t, make(t.path())) }
	}
	return []Scenario{
		{"health-kubelet", "the kubelet's httpGet probe", Probe, AnyPort, false, at(Kubelet)},
		{"health-alb", "AWS ALB's health check", Probe, AnyPort, false, at(ALB)},
		{"health-google", "Google Cloud's health check", Probe, AnyPort, false, at(GoogleHC)},
		{"health-route53", "AWS Route 53's health check", Probe, AnyPort, false, at(Route53)},
		{"health-front-door-head", "Azure Front Door's probe, with HEAD", Probe, AnyPort, false, at(FrontDoor)},
		{"health-haproxy-options", "HAProxy's option httpchk: OPTIONS over HTTP/1.0 without Host, then RST", Probe, AnyPort, false, at(HAProxy)},
		{"health-tengine", "Tengine and nginx's upstream check module: GET over HTTP/1.0 without Host", Probe, AnyPort, false, at(Tengine)},
		{"health-keepalived", "keepalived's HTTP_GET: GET over HTTP/1.0", Probe, AnyPort, false, at(Keepalived)},
		{"health-consul", "Consul's HTTP check", Probe, AnyPort, false, at(Consul)},
		{"health-envoy", "Envoy's HTTP health checker", Probe, AnyPort, false, at(Envoy)},
		{"health-curl", "the HEALTHCHECK of a container image", Probe, AnyPort, false, at(Curl)},
		{"websocket-path-alb", "an ALB configured with the WebSocket path", Probe, AnyPort, false, onSocket(ALB)},
		{"websocket-path-front-door-head", "Azure Front Door configured with the WebSocket path, with HEAD", Probe, AnyPort, false, onSocket(FrontDoor)},
		{"options-star", "HAProxy's check as often configured by hand: OPTIONS *", Probe, AnyPort, false, OptionsStar},
	}
}

func requests() []Scenario {
	cut := func(e End) run {
		return func(ctx context.Context, t Target) (Result, error) {
			raw := WebSocket(t.path()).Bytes(t)
			return Cut(ctx, t, raw, len(raw)/2, e)
		}
	}
	all := []Scenario{
		{"h2-preface", "a gRPC probe, or a proxy that speaks HTTP/2 with prior knowledge to an HTTP/1 port", Failure, AnyPort, false, H2Preface},
		{"request-cut-fin", "a client that was killed: half a handshake and FIN", Failure, AnyPort, false, cut(FIN)},
		{"request-cut-half-close", "a script that pipes half a request: FIN, but it still reads", Failure, AnyPort, false, cut(HalfClose)},
		{"request-cut-rst", "a client behind a firewall that resets: half a handshake and RST", Failure, AnyPort, false, cut(RST)},
		{"request-cut-silent", "a slow attack, or a path that loses packets: half a handshake, and the rest never comes", Failure, AnyPort, true, cut(Silence)},
	}
	for _, j := range Junks() {
		all = append(all, Scenario{"junk-" + j.Name, j.Who, Failure, AnyPort, false, j.Send})
	}
	return all
}

func handshakes() []Scenario {
	shake := func(make func(string) Request, follow ...Frame) run {
		return func(ctx context.Context, t Target) (Result, error) {
			return Handshake(ctx, t, make(t.path()), follow...)
		}
	}
	by := func(method string) run {
		return shake(func(path string) Request { return ByMethod(method, path) })
	}
	return []Scenario{
		{"handshake-valid", "a client; Uptime Kuma's WebSocket monitor: a session closed with 1000 at once", Legal, AnyPort, false, shake(WebSocket)},
		{"handshake-split-connection", "a proxy that adds a Connection line of its own", Legal, AnyPort, false, shake(SplitConnection)},
		{"handshake-odd-case", "a client library with its own idea of letter case", Legal, AnyPort, false, shake(OddCase)},
		{"handshake-token-lists", "Firefox and some proxies: lists in Connection and Upgrade", Legal, AnyPort, false, shake(TokenLists)},
		{"handshake-empty-item", "a proxy that blanks a token of Connection and leaves its comma", Legal, AnyPort, false, shake(EmptyItem)},
		{"handshake-early-data", "a client that sends its first frame before the answer, in the same packet", Failure, AnyPort, false, shake(WebSocket, Frame{Opcode: OpText, Payload: []byte("early")})},
		{"handshake-no-upgrade", "a proxy that removed Upgrade; the key shows that it was a handshake", Failure, AnyPort, false, shake(NoUpgrade)},
		{"handshake-no-connection", "a proxy that removed Connection", Failure, AnyPort, false, shake(NoConnection)},
		{"handshake-through-nginx", "nginx with only proxy_pass set", Failure, AnyPort, false, shake(ThroughNginx)},
		{"handshake-through-apache", "Apache with a ProxyPass without upgrade=websocket", Failure, AnyPort, false, shake(ThroughApache)},
		{"handshake-through-varnish", "Varnish without pipe", Failure, AnyPort, false, shake(ThroughVarnish)},
		{"handshake-http-1-0", "a proxy that speaks HTTP/1.0 to the server and keeps Upgrade", Failure, AnyPort, false, shake(HTTP10)},
		{"handshake-http-2", "a proxy that speaks HTTP/2 to the server", Failure, HTTP2Port, false, KeyOverHTTP2},
		{"handshake-post", "a client library used wrongly, or a scanner", Failure, AnyPort, false, by("POST")},
		{"handshake-head", "a link checker that copies a handshake's header", Failure, AnyPort, false, by("HEAD")},
		{"handshake-plain-get", "a browser that opens the WebSocket address as a page", Failure, AnyPort, false, shake(PlainGet)},
		{"handshake-version-8", "a client from 2011", Failure, AnyPort, false, shake(Version8)},
		{"handshake-no-key", "a script that leaves out the key", Failure, AnyPort, false, shake(NoKey)},
		{"handshake-two-keys", "a proxy that adds a key of its own", Failure, AnyPort, false, shake(TwoKeys)},
		{"handshake-bad-key", "a script with an invented key", Failure, AnyPort, false, shake(BadKey)},
		{"handshake-foreign-origin", "a page of another site, in the browser of a logged-in user", Failure, AnyPort, false, shake(Foreign)},
	}
}

func sessions() []Scenario {
	vanish := func(e End) run {
		return func(ctx context.Context, t Target) (Result, error) {
			s, res, err := Open(ctx, t)
			if err != nil {
				return res, err
			}
			return s.Vanish(e)
		}
	}
	return []Scenario{
		{"session-vanish-fin", "a client whose process was killed: FIN without a close frame", Failure, AnyPort, false, vanish(FIN)},
		{"session-vanish-rst", "a client behind a NAT or firewall that resets: RST without a close frame", Failure, AnyPort, false, vanish(RST)},
	}
}
