package remedy

import (
	"strings"

	"github.com/quietws/quietws/core/internal/head"
)

// Proxy is a proxy that left a trace in a request, 0 for none that is known. Like
// everything in a head it is a claim: it says where to look, and decides nothing.
type Proxy uint8

// String returns the name of v, as in [event.Event.Proxy], "" for none.
func (v Proxy) String() string {
	if v < proxyCount {
		return proxyNames[v]
	}
	return ""
}

// Proxies returns the name of every proxy that is known by its traces, sorted. The slice
// is the caller's.
func Proxies() []string {
	return append([]string(nil), proxyNames[NoProxy+1:]...)
}

// The known proxies, in the order of their names. HAProxy and nginx leave no trace by
// default.
const (
	NoProxy Proxy = iota
	proxyApache
	proxyAWSALB
	proxyAzureFrontDoor
	proxyCaddy
	proxyCloudflare
	proxyCloudFront
	proxyEnvoy
	proxyFastly
	proxyFly
	proxyGoogle
	proxyHeroku
	proxySquid
	proxyTraefik
	proxyVarnish

	proxyCount // how many there are
)

var proxyNames = [proxyCount]string{
	proxyApache:         "apache",
	proxyAWSALB:         "aws-alb",
	proxyAzureFrontDoor: "azure-front-door",
	proxyCaddy:          "caddy",
	proxyCloudflare:     "cloudflare",
	proxyCloudFront:     "cloudfront",
	proxyEnvoy:          "envoy",
	proxyFastly:         "fastly",
	proxyFly:            "fly",
	proxyGoogle:         "google",
	proxyHeroku:         "heroku",
	proxySquid:          "squid",
	proxyTraefik:        "traefik",
	proxyVarnish:        "varnish",
}

// fingerprint is one trace of a proxy: a field that is present, or an item of Via
// (RFC 9110 §7.6.3), by its comment or by its name.
type fingerprint struct {
	who     Proxy
	field   string // in canonical form
	without string // and this one is absent
	comment string // Via: the comment after the name begins with this
	name    string // Via: the name is this
	source  string
}

const fieldVia = "Via"

// fingerprints are in the order of precedence for a request that came through several
// proxies: first the proxies that remove Upgrade by default.
var fingerprints = []fingerprint{
	// Fastly is built on Varnish, and its requests have X-Varnish too.
	{who: proxyFastly, field: "Fastly-Ff", source: "https://docs.fastly.com/documentation/reference/http/http-headers/X-Varnish/, Fastly-FF"},
	{who: proxyFastly, field: "Fastly-Client-Ip", source: "the same reference, Fastly-Client-IP"},
	{who: proxyVarnish, field: "X-Varnish", source: "varnishcache/varnish-cache bin/varnishd/cache/cache_fetch.c; seen with 7.1"},
	{who: proxyVarnish, comment: "(Varnish/", source: "varnishcache/varnish-cache bin/varnishd/cache/cache_http.c, since 7.2"},
	// Traefik sends X-Forwarded-Server too, and always X-Real-Ip with it.
	{who: proxyApache, field: "X-Forwarded-Server", without: "X-Real-Ip", source: "https://httpd.apache.org/docs/2.4/mod/mod_proxy.html#x-headers; seen with 2.4.71"},
	{who: proxyApache, comment: "(Apache/", source: "https://httpd.apache.org/docs/2.4/mod/mod_proxy.html#proxyvia, Full"},
	{who: proxySquid, comment: "(squid/", source: "https://wiki.squid-cache.org, Via; squid-cache/squid src/http.cc"},
	{who: proxyCloudFront, field: "X-Amz-Cf-Id", source: "https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_OriginRequestPolicy.html"},
	{who: proxyCloudFront, comment: "(CloudFront)", source: "https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html"},

	{who: proxyTraefik, field: "X-Forwarded-Server", source: "traefik/traefik pkg/middlewares/forwardedheaders/forwarded_header.go v3.7.13"},
	{who: proxyCaddy, name: "Caddy", source: "caddyserver/caddy modules/caddyhttp/reverseproxy/reverseproxy.go v2.11.9"},
	{who: proxyEnvoy, field: "X-Envoy-Expected-Rq-Timeout-Ms", source: "https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter"},
	{who: proxyEnvoy, field: "X-Envoy-External-Address", source: "https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers"},
	{who: proxyHeroku, name: "vegur", source: "https://devcenter.heroku.com/articles/http-routing"},
	{who: proxyHeroku, name: "heroku-router", source: "https://devcenter.heroku.com/articles/http-routing"},
	{who: proxyFly, field: "Fly-Request-Id", source: "https://fly.io/docs/networking/request-headers/"},
	{who: proxyGoogle, name: "google", source: "https://cloud.google.com/load-balancing/docs/https"},
	{who: proxyAWSALB, field: "X-Amzn-Trace-Id", source: "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-request-tracing.html"},
	{who: proxyAzureFrontDoor, field: "X-Azure-Ref", source: "https://learn.microsoft.com/azure/frontdoor/front-door-http-headers-protocol"},
	{who: proxyCloudflare, field: "Cf-Ray", source: "https://developers.cloudflare.com/fundamentals/reference/http-headers/"},
}

// maxVia is how many bytes of Via are read, counted from its end, where the nearest
// proxy is.
const maxVia = 512

// ProxyOf returns the proxy that left its traces in a request. If there are several, it
// is the one that is most likely to have removed Upgrade.
func ProxyOf(h head.Head) Proxy {
	items := h.Field(fieldVia)
	if len(items) > maxVia {
		items = items[len(items)-maxVia:]
	}
	for i := range fingerprints {
		f := &fingerprints[i]
		if f.field != "" && h.Field(f.field) != "" && (f.without == "" || h.Field(f.without) == "") ||
			f.field == "" && f.inVia(items) {
			return f.who
		}
	}
	return NoProxy
}

// inVia reports whether an item of Via has the fingerprint: "1.1 name (comment)".
func (f *fingerprint) inVia(items string) bool {
	for items != "" {
		var item string
		item, items, _ = strings.Cut(items, ",")
		_, item, _ = strings.Cut(strings.TrimSpace(item), " ")
		name, comment, _ := strings.Cut(item, " ")
		if f.name != "" && name == f.name || f.comment != "" && strings.HasPrefix(comment, f.comment) {
			return true
		}
	}
	return false
}

// Remedy returns the remedy for a handshake without Upgrade in which v left a trace.
func (v Proxy) Remedy() string { return proxyRemedies[v] }

// Trace is a trace by which a proxy is known, for the README: a field, which counts only
// if the field Without is absent, or an item of Via.
type Trace struct{ Field, Without, Via string }

// Traces returns the traces by which v is known.
func (v Proxy) Traces() (all []Trace) {
	for _, f := range fingerprints {
		if f.who == v {
			all = append(all, Trace{f.field, f.without, f.name + f.comment})
		}
	}
	return all
}
