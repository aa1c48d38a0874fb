package core

import (
	"strings"

	"github.com/quietws/quietws/core/internal/head"
)

// via is a proxy that left a trace in a request, 0 for none that is known. It
// is a claim like everything in a head: it names what to look at, and decides
// nothing.
type via uint8

// String returns the name of v, [event.Event.Proxy], "" for none.
func (v via) String() string {
	if v < vias {
		return viaNames[v]
	}
	return ""
}

// proxies returns the name of every proxy that is known by its traces, sorted.
func proxies() []string {
	return append([]string(nil), viaNames[noVia+1:]...)
}

// The known proxies, in the order of their names. HAProxy and nginx leave no
// trace unless they are told to.
const (
	noVia via = iota
	viaApache
	viaAWSALB
	viaAzureFrontDoor
	viaCaddy
	viaCloudflare
	viaCloudFront
	viaEnvoy
	viaFastly
	viaFly
	viaGoogle
	viaHeroku
	viaSquid
	viaTraefik
	viaVarnish

	vias // how many there are
)

var viaNames = [vias]string{
	viaApache:         "apache",
	viaAWSALB:         "aws-alb",
	viaAzureFrontDoor: "azure-front-door",
	viaCaddy:          "caddy",
	viaCloudflare:     "cloudflare",
	viaCloudFront:     "cloudfront",
	viaEnvoy:          "envoy",
	viaFastly:         "fastly",
	viaFly:            "fly",
	viaGoogle:         "google",
	viaHeroku:         "heroku",
	viaSquid:          "squid",
	viaTraefik:        "traefik",
	viaVarnish:        "varnish",
}

// fingerprint is one trace of a proxy: a field that is there, or an item of
// Via (RFC 9110 §7.6.3), by its comment or by its name.
type fingerprint struct {
	who     via
	field   string // in canonical form
	without string // and this one is not there
	comment string // Via: the comment after the name begins so
	name    string // Via: the name is this
	source  string
}

const fieldVia = "Via"

// fingerprints are in the order in which they count where a request came through
// several proxies: first those that take Upgrade away unless they are told
// otherwise.
var fingerprints = []fingerprint{
	// Fastly is a Varnish of its own, and its requests carry X-Varnish too.
	{who: viaFastly, field: "Fastly-Ff", source: "https://docs.fastly.com/documentation/reference/http/http-headers/X-Varnish/, Fastly-FF"},
	{who: viaFastly, field: "Fastly-Client-Ip", source: "the same reference, Fastly-Client-IP"},
	{who: viaVarnish, field: "X-Varnish", source: "varnishcache/varnish-cache bin/varnishd/cache/cache_fetch.c; seen with 7.1"},
	{who: viaVarnish, comment: "(Varnish/", source: "varnishcache/varnish-cache bin/varnishd/cache/cache_http.c, since 7.2"},
	// Traefik sends X-Forwarded-Server too, and always X-Real-Ip beside it.
	{who: viaApache, field: "X-Forwarded-Server", without: "X-Real-Ip", source: "https://httpd.apache.org/docs/2.4/mod/mod_proxy.html#x-headers; seen with 2.4.71"},
	{who: viaApache, comment: "(Apache/", source: "https://httpd.apache.org/docs/2.4/mod/mod_proxy.html#proxyvia, Full"},
	{who: viaSquid, comment: "(squid/", source: "https://wiki.squid-cache.org, Via; squid-cache/squid src/http.cc"},
	{who: viaCloudFront, field: "X-Amz-Cf-Id", source: "https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_OriginRequestPolicy.html"},
	{who: viaCloudFront, comment: "(CloudFront)", source: "https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html"},

	{who: viaTraefik, field: "X-Forwarded-Server", source: "traefik/traefik pkg/middlewares/forwardedheaders/forwarded_header.go v3.7.13"},
	{who: viaCaddy, name: "Caddy", source: "caddyserver/caddy modules/caddyhttp/reverseproxy/reverseproxy.go v2.11.9"},
	{who: viaEnvoy, field: "X-Envoy-Expected-Rq-Timeout-Ms", source: "https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter"},
	{who: viaEnvoy, field: "X-Envoy-External-Address", source: "https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers"},
	{who: viaHeroku, name: "vegur", source: "https://devcenter.heroku.com/articles/http-routing"},
	{who: viaHeroku, name: "heroku-router", source: "https://devcenter.heroku.com/articles/http-routing"},
	{who: viaFly, field: "Fly-Request-Id", source: "https://fly.io/docs/networking/request-headers/"},
	{who: viaGoogle, name: "google", source: "https://cloud.google.com/load-balancing/docs/https"},
	{who: viaAWSALB, field: "X-Amzn-Trace-Id", source: "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-request-tracing.html"},
	{who: viaAzureFrontDoor, field: "X-Azure-Ref", source: "https://learn.microsoft.com/azure/frontdoor/front-door-http-headers-protocol"},
	{who: viaCloudflare, field: "Cf-Ray", source: "https://developers.cloudflare.com/fundamentals/reference/http-headers/"},
}

// maxVia is how much of Via is looked at, in bytes, from its end, where the
// nearest proxy is.
const maxVia = 512

// viaByHead returns the proxy whose traces a request has, the one that is most
// likely to have taken Upgrade away.
func viaByHead(h head.Head) via {
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
	return noVia
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
