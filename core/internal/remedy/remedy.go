// Package remedy has the remedies that the log prints: for each class and reason one
// constant line that says what fixes the failure. It also knows which proxy left its
// traces in a request ([ProxyOf]), because the remedy depends on the proxy.
//
// To change a remedy, look for its reason in remedy.go, for its proxy in proxyRemedies,
// or for its prober in probePaths. To add a proxy, add its name, its fingerprints
// (proxy.go) and its remedy. Then write the tables of both READMEs anew:
//
//	README_UPDATE=1 go test ./core -run Readme
package remedy

import (
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/prober"
)

// For returns the remedy for an event of this class and reason: one line, with the line
// of configuration if there is one, "" if there is nothing to fix. The text is constant
// and contains nothing from the peer. proberName is a name of the prober table or any
// other word; for ProbeFailing the remedy then says where that prober's path is set.
//
// HandshakeRefused with ReasonApplication has one text for every status. If the refusal
// was intended (401, 429), the caller leaves the remedy out.
func For(c event.Class, r event.Reason, proberName string) string {
	switch c {
	case event.HandshakeRefused:
		return refusalRemedies[r]
	case event.UpgradeFailed:
		return upgradeRemedies[r]
	case event.WrongProtocol:
		return protocolRemedies[r]
	case event.TLSFailed:
		return tlsRemedies[r]
	case event.BadRequest:
		return requestRemedies[r]
	case event.ServerClosed:
		return closedRemedies[r]
	case event.IdleConnect:
		return idle
	case event.ProbeFailing:
		if where := PathOf(proberName); where != "" {
			return failing + "; " + where
		}
		return failing
	default:
		// The stack of a panic says more than a remedy could, and the other
		// classes are not failures.
		return ""
	}
}

// ForProbe returns the remedy to log with the first probe of class c, "" if there is no
// better kind of probe.
func ForProbe(c event.Class) string {
	switch c {
	case event.TCPProbe:
		return "a TCP probe only proves that the kernel accepts connections; let the prober ask GET /readyz over HTTP"
	case event.TLSProbe:
		return "a TLS probe only proves that the certificate is served; let the prober ask GET /readyz over HTTPS"
	default:
		return ""
	}
}

// Text between backquotes in a remedy can be pasted as it is; examples/probers does so
// with the real programs.
//
// nginx's default proxy_pass replaces Host too. Without the Host line every browser would
// be refused for its Origin once Upgrade arrives. $host would not do: it lacks the port,
// which Origin has.
const (
	nginxHost    = "proxy_set_header Host $http_host;"
	nginxUpgrade = "`proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; " +
		`proxy_set_header Connection "upgrade"; ` + nginxHost + "`"
	apacheUpgrade = "Apache 2.4.47 or newer: `upgrade=websocket` on the ProxyPass line and `ProxyPreserveHost On`"
)

var refusalRemedies = map[event.Reason]string{
	// Draining is intended, so it has no remedy.
	event.ReasonSaturated:       "raise Config.MaxSessions or add instances",
	event.ReasonNoRoute:         "no handler has this path: register the WebSocket route for GET on it, or fix the client's URL or the proxy's path rewriting (nginx: a proxy_pass that ends in a slash cuts the prefix of its location)",
	event.ReasonUpgradeStripped: strippedRemedy,
	event.ReasonHTTP2:           `a proxy or client sends the handshake over HTTP/2, where Upgrade does not exist: let the proxy speak HTTP/1.1 to this server (Envoy: no http2_protocol_options on the cluster; HAProxy: alpn http/1.1, no proto h2), or take "h2" out of tls.Config.NextProtos`,
	event.ReasonHTTP10:          "a proxy speaks HTTP/1.0 to this server; nginx, in the location: " + nginxUpgrade,
	event.ReasonBadMethod:       "a WebSocket handshake is a GET: fix the client; if it is a probe, point it at /readyz or add the path to Config.ProbePaths",
	event.ReasonNotUpgrade:      "a plain request on a WebSocket route: a browser, a crawler or a probe (point it at /readyz or add the path to Config.ProbePaths); if it was a WebSocket client, a proxy removed the handshake, nginx: " + nginxUpgrade,
	event.ReasonBadVersion:      "the client is older than RFC 6455 or sends a wrong Sec-WebSocket-Version: update its WebSocket library",
	event.ReasonMissingKey:      "the client or a proxy left Sec-WebSocket-Key out: let a WebSocket library make the handshake, and let the proxy pass all Sec-WebSocket fields on",
	event.ReasonDuplicateKey:    "two Sec-WebSocket-Key lines: take the line that sets it out of the proxy's configuration (nginx: proxy_set_header Sec-WebSocket-Key) or out of the client's extra headers",
	event.ReasonBadKey:          "the client's Sec-WebSocket-Key is not base64 of 16 bytes: let a WebSocket library make it; a fixed key copied into a script is the usual cause",
	event.ReasonOriginForbidden: "if the page may connect, let its origin in: " + originWords + "; if it is this site's own, a proxy changed Host, nginx: `" + nginxHost + "` Apache: `ProxyPreserveHost On`",
	event.ReasonApplication:     "the handshake was good and the application's own handler or WebSocket library refused it, see status and error; a 403 is most often the Origin check: let the origin in, " + originWords + ", or let the proxy pass Host on, nginx: `" + nginxHost + "`",
}

// originWords says where each library takes the origins that it allows.
const originWords = "coder OriginPatterns, gorilla CheckOrigin, contrib (Fiber) Origins"

const strippedRemedy = "a proxy removed Upgrade or Connection; nginx, in the location: " + nginxUpgrade + " " + apacheUpgrade

// proxyRemedies has the remedies for ReasonUpgradeStripped if a proxy left a trace. Some
// of these proxies pass Upgrade on by default; then another proxy, which leaves no trace,
// may have removed it.
var proxyRemedies = [proxyCount]string{
	NoProxy:     strippedRemedy,
	proxyApache: "Apache removed Upgrade, as it does by default; " + apacheUpgrade,
	proxyVarnish: "Varnish removed Upgrade, as it does by default; in the VCL: " +
		"`sub vcl_recv { if (req.http.Upgrade ~ \"(?i)websocket\") { return (pipe); } } sub vcl_pipe { " +
		"set bereq.http.Upgrade = req.http.Upgrade; set bereq.http.Connection = req.http.Connection; }`",
	proxyFastly:         "Fastly removed Upgrade: switch WebSockets on for the service, and in vcl_recv: `if (req.http.Upgrade) { return(upgrade); }`",
	proxySquid:          "Squid removed Upgrade: let clients use wss://, for which it opens a tunnel, or go around it",
	proxyCloudFront:     "CloudFront removed Upgrade: give the behaviour the origin request policy Managed-AllViewer, which passes the Sec-WebSocket fields on",
	proxyTraefik:        "Traefik passes Upgrade on: look for a middleware that removes it, or " + behindRemedy,
	proxyCaddy:          "Caddy passes Upgrade on: look for a header_up that removes it, or " + behindRemedy,
	proxyEnvoy:          "Envoy needs `upgrade_configs: [{upgrade_type: websocket}]`, or " + behindRemedy,
	proxyHeroku:         "Heroku's router passes Upgrade on: " + behindRemedy,
	proxyFly:            "Fly's proxy passes Upgrade on: " + behindRemedy,
	proxyGoogle:         "Google's load balancer passes Upgrade on: " + behindRemedy,
	proxyAWSALB:         "an ALB passes Upgrade on: " + behindRemedy,
	proxyAzureFrontDoor: "Azure Front Door passes Upgrade on, its classic tier does not; or " + behindRemedy,
	proxyCloudflare:     "Cloudflare passes Upgrade on if Network, WebSockets is on; or " + behindRemedy,
}

const behindRemedy = "another proxy removed it, nginx: " + nginxUpgrade

var upgradeRemedies = map[event.Reason]string{
	event.NoReason:             "the handler did not complete a good handshake: see its error",
	event.ReasonServerError:    "the handler answered 5xx to a good handshake: see its error; a middleware that buffers, compresses or times responses out (http.TimeoutHandler) has to leave this route alone",
	event.ReasonHijackFailed:   "the connection could not be taken over: a middleware's ResponseWriter hides http.Hijacker (give it an Unwrap method, or keep it off this route), http.TimeoutHandler cannot be hijacked at all, and gin 1.11.0 refuses: use another version",
	event.ReasonNothingWritten: "the handler took the connection over and answered nothing: let the library's Accept or Upgrade write the 101, look for a return or a closed connection before it, and for a middleware that holds the status back until a body comes, as Gzip does",
	event.ReasonStatusUnknown:  "the handler ended and its answer was not seen: let it return its error, and use Attach or Wrap, which see the status, instead of Middleware alone",
}

// Replayed is for ReasonHijackFailed on a server that hands a connection over after the
// handlers have returned. No middleware can be in the way of a hijack there.
const Replayed = "101 was answered, but no handler took the connection over: most often a cache repeats the answer to another client, so keep it off this route (Fiber's cache middleware: Next: fiberws.IsUpgrade), or a handler sets 101 by itself"

// BehindLayer returns the remedy for UpgradeFailed if it is known which ResponseWriters
// are between the handler and the server. layer names their types.
func BehindLayer(r event.Reason, layer string) string {
	if r == event.ReasonNothingWritten {
		return "the 101 that the handler wrote was held back by a middleware's ResponseWriter, " + layer +
			": keep that middleware off this route, for example by skipping requests for which IsUpgrade is true, or serve the route with Handler, which writes past it"
	}
	if r == event.ReasonHijackFailed {
		return "in the way is the ResponseWriter " + layer + "; " + upgradeRemedies[r]
	}
	return upgradeRemedies[r]
}

var protocolRemedies = map[event.Reason]string{
	event.ReasonTLSOnPlain:    "TLS came to a port without TLS: let the proxy, probe or client use http:// and ws:// here (nginx: proxy_pass http://; HAProxy: no ssl on the server line; Kubernetes: scheme: HTTP), or serve TLS with ServeTLS or Guard.TLSListener",
	event.ReasonHTTPOnTLS:     "plain HTTP came to the TLS port: let the proxy, probe or client use https:// and wss:// here (nginx: proxy_pass https://; HAProxy: ssl on the server line; Kubernetes: scheme: HTTPS)",
	event.ReasonH2Preface:     "the proxy or probe speaks HTTP/2 to an HTTP/1 port, and nothing it asks is answered: HAProxy: no proto h2 on the server line; Envoy: no http2_protocol_options on the cluster; nginx: proxy_pass, not grpc_pass; Cloud Run: end-to-end HTTP/2 off; Kubernetes: an httpGet probe, not grpc",
	event.ReasonProxyPreamble: "a PROXY protocol preamble that nothing here reads: turn it off (HAProxy: no send-proxy or send-proxy-v2 on the server line; AWS: proxy_protocol_v2.enabled=false; nginx: proxy_protocol off), or put pires/go-proxyproto below the guard: tls(guard(proxyproto(ln)))",
}

var tlsRemedies = map[event.Reason]string{
	event.ReasonRefused:           "the client does not trust the certificate: serve the full chain, leaf first, for this name and not expired; a proxy or probe with a private CA needs it (HAProxy: ca-file; nginx: proxy_ssl_trusted_certificate) or verification off",
	event.ReasonClientCertificate: "this server asks for client certificates and refused this one, or none came: let the proxy, probe or client present one of a CA in tls.Config.ClientCAs (HAProxy: crt on the server line; nginx: proxy_ssl_certificate), give probes a port without ClientAuth, or ask for less than RequireAndVerifyClientCert",
	event.ReasonVersion:           "no TLS version in common: update the client, or lower tls.Config.MinVersion (1.2 where it is not set)",
	event.ReasonTruncated:         "the peer left in the middle of the TLS handshake: a probe or proxy with too short a timeout, or a path that drops large packets (MTU)",
	event.ReasonAborted:           "the TLS handshake broke, the error says where: bytes that are not TLS, no cipher or ALPN protocol in common, or a function of tls.Config that fails",
	event.ReasonTimeout:           "the TLS handshake did not end in time: a slow client, or a path that drops large packets (MTU)",
}

var requestRemedies = map[event.Reason]string{
	event.ReasonTruncated: "the peer left in the middle of a request's head: a port check that sends a byte (let it ask GET /readyz), or a proxy or client with too short a timeout",
	event.ReasonMalformed: `not HTTP/1: another protocol's client on this port, or a monitor that sends HTTP/0.9 (F5: set the send string to "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")`,
	event.ReasonTooLarge:  "a larger head than this server reads: raise http.Server.MaxHeaderBytes (Fiber: ReadBufferSize), or look for cookies that grow",
	event.ReasonRefused:   "the server refused what the head says: a Host that is missing, doubled or malformed, a method it does not know, Content-Length together with Transfer-Encoding, or Expect; fix the client or proxy",
	event.ReasonTimeout:   "the head did not come in time: a slow client or attack, or a proxy that opens connections early; if they are real clients, raise ReadHeaderTimeout (Fiber: ReadTimeout)",
	event.ReasonUnknown:   "the server refused what came inside TLS without saying why: send the same request to a plain port, where the reason can be seen",
}

var closedRemedies = map[event.Reason]string{
	event.ReasonLimit: "a connection limit of the server: raise fiber.Config.Concurrency or fasthttp's MaxConnsPerIP, or add instances; behind a proxy all clients share the proxy's address",
}

// Remedies that depend on more than class and reason: core decides when they apply.
const (
	ManyFields = "more lines in the head than this server reads: raise http.Server.MaxHeaderValueCount (500 where it is not set), or look for the proxy or client that repeats a field"
	idle       = "a connection that never asked anything: a browser's spare connection (harmless), a path that drops large packets (MTU), or a slow attack; Serve sets a ReadHeaderTimeout, with Attach set one on the server"
	OwnHealth  = "if this is the application's own readiness route, add its path to Config.AppHealth: then it is kept quiet, and fails when a drain begins (a default path of ours also needs \"-\" in Config.Routes)"
	OffSocket  = "the route answers probers itself, as it does without the guard: point the probe at /readyz, or add the path it asks to Config.ProbePaths, where the guard answers it"
	failing    = "point the probe at /readyz, or add the path it asks to Config.ProbePaths"
)

// PathOf returns where the path of the prober with that name is set, "" if that is not
// known.
func PathOf(proberName string) string { return probePaths[proberName] }

var probePaths = map[string]string{
	prober.AWSELB.String():              "target group: HealthCheckPath /readyz (Kubernetes: alb.ingress.kubernetes.io/healthcheck-path: /readyz)",
	prober.AWSRoute53.String():          "health check: ResourcePath /readyz",
	prober.AzureAppService.String():     "App Service: healthCheckPath /readyz; Always On asks /, so add that to Config.ProbePaths",
	prober.AzureFrontDoor.String():      "origin group: probePath /readyz",
	prober.AzureLB.String():             "probe: requestPath /readyz; it takes 200 only",
	prober.AzureTrafficManager.String(): "profile: monitorConfig.path /readyz; it takes a redirect for a failure",
	prober.CloudflareChecks.String():    "health check: path /readyz",
	prober.CloudflareLB.String():        "monitor: path /readyz",
	prober.Consul.String():              `check { http = "http://<address>/readyz" }`,
	prober.Envoy.String():               "health_checks: http_health_check: {path: /readyz}",
	prober.GoogleLB.String():            "health check: --request-path=/readyz (GKE: BackendConfig healthCheck.requestPath); it asks / otherwise and takes 200 only",
	prober.GoogleUptime.String():        "uptime check: path /readyz",
	prober.HAProxy.String():             "backend: option httpchk GET /readyz",
	prober.Keepalived.String():          "HTTP_GET { url { path /readyz status_code 200 } }",
	prober.Knative.String():             "service: readinessProbe: httpGet: {path: /readyz}",
	prober.Kubelet.String():             "readinessProbe: httpGet: {path: /readyz}, livenessProbe: httpGet: {path: /livez}, startupProbe: httpGet: {path: /startupz}",
	prober.Nagios.String():              "check_http -u /readyz",
	prober.Nomad.String():               `check { type = "http" path = "/readyz" }`,
	prober.Railway.String():             "railway.json: deploy.healthcheckPath /readyz",
	prober.Render.String():              "render.yaml: healthCheckPath: /readyz",
	prober.TencentCLB.String():          "listener: HealthCheck.HttpCheckPath /readyz",
	prober.YARP.String():                `cluster: HealthCheck: Active: Path "/readyz"`,
}
