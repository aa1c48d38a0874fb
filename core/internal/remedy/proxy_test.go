package remedy

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/quietws/quietws/core/internal/head/headtest"
)

func TestProxyOf(t *testing.T) {
	for _, row := range []struct {
		rule   string
		fields []string
		want   string
	}{
		{"none: nginx and HAProxy leave nothing", nil, ""},
		{"what every proxy may send names none", []string{"X-Forwarded-Host", "x", "X-Forwarded-Proto", "https", "X-Real-Ip", "192.0.2.1", "Forwarded", "for=x", "X-Request-Id", "1"}, ""},
		{"Varnish up to 7.1", []string{"X-Varnish", "3"}, "varnish"},
		{"Varnish since 7.2", []string{"Via", "1.1 web1 (Varnish/7.2)"}, "varnish"},
		{"the comment without a name is none", []string{"Via", "1.1 (Varnish/7.2)"}, ""},
		{"a host of that name is no Varnish", []string{"Via", "1.1 varnish.example"}, ""},
		{"another program of nearly that name", []string{"Via", "1.1 a (Varnisher/1)"}, ""},
		{"Fastly's Varnish is Fastly's", []string{"X-Varnish", "3, 4", "Fastly-Ff", "x"}, "fastly"},
		{"the same by the client's address", []string{"X-Varnish", "3", "Fastly-Client-Ip", "192.0.2.1"}, "fastly"},
		{"Apache", []string{"X-Forwarded-Host", "a", "X-Forwarded-Server", "a"}, "apache"},
		{"Apache with ProxyVia Full", []string{"Via", "1.1 a:80 (Apache/2.4.57)"}, "apache"},
		{"Apache with ProxyVia On looks like any proxy", []string{"Via", "1.1 a:80"}, ""},
		{"Traefik sends Apache's field too", []string{"X-Forwarded-Server", "a", "X-Forwarded-Port", "80", "X-Real-Ip", "192.0.2.1"}, "traefik"},
		{"Squid", []string{"Via", "1.1 proxy:3128 (squid/5.7)"}, "squid"},
		{"Caddy since 2.10", []string{"Via", "1.1 Caddy"}, "caddy"},
		{"a host of that name", []string{"Via", "1.1 Caddy.example"}, ""},
		{"another letter case is another name", []string{"Via", "1.1 caddy"}, ""},
		{"Google", []string{"Via", "1.1 google"}, "google"},
		{"a host that begins so", []string{"Via", "1.1 google.example, 1.1 agoogle"}, ""},
		{"Heroku", []string{"Via", "1.1 vegur"}, "heroku"},
		{"Heroku's newer router", []string{"Via", "1.1 heroku-router"}, "heroku"},
		{"CloudFront", []string{"X-Amz-Cf-Id", "x"}, "cloudfront"},
		{"CloudFront by its name", []string{"Via", "1.1 x.cloudfront.net (CloudFront)"}, "cloudfront"},
		{"Cloudflare", []string{"Cf-Ray", "x"}, "cloudflare"},
		{"Envoy", []string{"X-Envoy-Expected-Rq-Timeout-Ms", "15000"}, "envoy"},
		{"Envoy at the edge", []string{"X-Envoy-External-Address", "192.0.2.1"}, "envoy"},
		{"a field of a client of Envoy's", []string{"X-Envoy-Max-Retries", "3"}, ""},
		{"Fly", []string{"Fly-Request-Id", "x"}, "fly"},
		{"an ALB", []string{"X-Amzn-Trace-Id", "x"}, "aws-alb"},
		{"Front Door", []string{"X-Azure-Ref", "x"}, "azure-front-door"},
		{"of several the one that removes Upgrade", []string{"Cf-Ray", "x", "Via", "1.1 Caddy", "X-Varnish", "3"}, "varnish"},
		{"several in one Via", []string{"Via", "1.1 google,1.1 a (Varnish/7.4), 1.1 b"}, "varnish"},
		{"several lines of Via", []string{"Via", "1.0 fred", "Via", "1.1 Caddy"}, "caddy"},
		{"the end of a long Via is the nearest", []string{"Via", strings.Repeat("1.1 x, ", maxVia) + "1.1 Caddy"}, "caddy"},
		{"its far end is not read", []string{"Via", "1.1 Caddy, " + strings.Repeat("1.1 x, ", maxVia)}, ""},
		{"what is no Via", []string{"Via", ",, ,1.1,\x00 (Varnish/"}, ""},
		{"a User-Agent is no trace", []string{"User-Agent", "Varnish Caddy Apache/2.4 (squid/5)"}, ""},
	} {
		if got := ProxyOf(headtest.Of(row.fields...)).String(); got != row.want {
			t.Errorf("%s: %q, want %q", row.rule, got, row.want)
		}
	}
}

func TestFingerprintsAreComplete(t *testing.T) {
	if !slices.IsSorted(Proxies()) || slices.Contains(Proxies(), "") {
		t.Errorf("names %q", Proxies())
	}
	seen := make(map[Proxy]bool)
	for _, f := range fingerprints {
		seen[f.who] = true
		kinds := 0
		for _, s := range []string{f.field, f.comment, f.name} {
			if s != "" {
				kinds++
			}
		}
		if kinds != 1 || f.source == "" || f.field != http.CanonicalHeaderKey(f.field) || f.without != http.CanonicalHeaderKey(f.without) {
			t.Errorf("%+v", f)
		}
	}
	for v := NoProxy + 1; v < proxyCount; v++ {
		if !seen[v] {
			t.Errorf("%s has no fingerprint", v)
		}
	}
	if proxyCount.String() != "" {
		t.Error("a name for nothing")
	}
}

// Each is one bounded line, and its backquotes come in pairs.
func TestProxyRemedies(t *testing.T) {
	for v, got := range proxyRemedies {
		if got == "" || len(got) > 400 || strings.ContainsAny(got, "\n\r\t\x00") || strings.Count(got, "`")%2 != 0 {
			t.Errorf("%s: %d bytes: %q", Proxy(v), len(got), got)
		}
	}
}
