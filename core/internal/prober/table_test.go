package prober

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/quietws/quietws/core/internal/head/headtest"
)

// The full User-Agents that probers send: each must be recognized.
func TestEveryProberIsKnownByItsAgent(t *testing.T) {
	seen := map[Prober]bool{}
	for _, r := range []struct{ form, agent, want string }{
		{"", "kube-probe/1.30", "kubelet"},
		{"", "kube-probe/1/30", "kubelet"},
		{"gRPC adds its own", "kube-probe/1.30 grpc-go/1.65.0", "kubelet"},
		{"a NUL after a prefix", "kube-probe/\x00", "kubelet"},
		{"a megabyte after a prefix", "kube-probe/" + strings.Repeat("1", 1<<20), "kubelet"},
		{"", "Knative-Activator-Probe", "knative"},
		{"", "Knative-Queue-Proxy-Probe", "knative"},
		{"", "Knative-Ingress-Probe", "knative"},
		{"", "Knative-Autoscaling-Probe", "knative"},
		{"", "AlwaysOn", "azure-app-service"},
		{"", "HealthCheck/1.0", "azure-app-service"},
		{"", "ReadyForRequest/1.0 (HealthCheck)", "azure-app-service"},
		{"", "Edge Health Probe", "azure-front-door"},
		{"", "Azure Traffic Manager Endpoint Monitor", "azure-traffic-manager"},
		{"", "ELB-HealthChecker/2.0", "aws-elb"},
		{"", "ELB-HealthChecker/1.0", "aws-elb"},
		{"", "Amazon-Route53-Health-Check-Service (ref 01234567-89ab; report http://amzn.to/1vsZADi)", "aws-route53"},
		{"", "Amazon Route 53 Health Check Service; ref:01234567-89ab; report http://amzn.to/1vsZADi", "aws-route53"},
		{"", "GoogleHC/1.0", "google-lb"},
		{"", "GoogleStackdriverMonitoring-UptimeChecks(https://cloud.google.com/monitoring)", "google-uptime"},
		{"", "Mozilla/5.0 (compatible;Cloudflare-Healthchecks/1.0;+https://www.cloudflare.com/; healthcheck-id: 0123456789abcdef)", "cloudflare-health-checks"},
		{"with spaces", "Mozilla/5.0 (compatible; Cloudflare-Healthchecks/1.0; +https://www.cloudflare.com/; healthcheck-id: 0123456789abcdef)", "cloudflare-health-checks"},
		{"", "Mozilla/5.0 (compatible; Cloudflare-Traffic-Manager/1.0; +https://www.cloudflare.com/traffic-manager/; pool-id: 0123456789abcdef)", "cloudflare-lb"},
		{"", "Render/1.0", "render"},
		{"", "RailwayHealthCheck/1.0", "railway"},
		{"", "Consul Health Check", "consul"},
		{"", "Nomad/1.9.0 (+https://www.nomadproject.io/; go1.23)", "nomad"},
		{"", "Envoy/HC", "envoy"},
		{"", "YARP/2.2.0 (Active Health Check Monitor)", "yarp"},
		{"without a version", "YARP (Active Health Check Monitor)", "yarp"},
		{"", "KeepAliveClient", "keepalived"},
		{"", "clb-healthcheck", "tencent-clb"},
		{"", "Blackbox-Exporter/0.28.0", "blackbox-exporter"},
		{"before 0.28.0", "Blackbox Exporter/0.27.0", "blackbox-exporter"},
		{"", "Uptime-Kuma/1.23.13", "uptime-kuma"},
		{"", "Gatus/1.0", "gatus"},
		{"", "Zabbix 7.0.0", "zabbix"},
		{"", "check_http/v2.4.0 (monitoring-plugins 2.4.0)", "nagios"},
		{"", "check_curl/v2.4.0 (monitoring-plugins 2.4.0, libcurl/8.5.0)", "nagios"},
		{"", "Datadog/Synthetics", "datadog-synthetics"},
		{"a browser test", chromeAgent + " DatadogSynthetics", "datadog-synthetics"},
		{"", "Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)", "pingdom"},
		{"with a plus", "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)", "uptimerobot"},
		{"with a space", "Mozilla/5.0 (compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)", "uptimerobot"},
		{"a version at the end does not make it a browser", "Mozilla/5.0 (compatible; UptimeRobot/2.0", "uptimerobot"},
		{"after a browser's", chromeAgent + " StatusCake", "statuscake"},
		{"before a browser's", "Better Stack Better Uptime Bot " + chromeAgent, "better-stack"},
		{"", "Better Uptime Bot " + chromeAgent, "better-stack"},
	} {
		got := ByHead(headtest.Of("User-Agent", r.agent))
		if got.String() != r.want {
			t.Errorf("%s: %.120q is %q, want %q", r.form, r.agent, got, r.want)
		}
		seen[got] = true
	}
	for _, a := range agents {
		if !seen[a.who] {
			t.Errorf("no row for %s", a.who)
		}
	}
}

// A name is a metric label, so it is a short word, one of a bounded set.
func TestProbers(t *testing.T) {
	all := Names()
	if len(all) != int(Configured)-1 || !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Errorf("not every name once and in order: %q", all)
	}
	for _, n := range all {
		if n == "" || len(n) > 24 || strings.Trim(n, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || n == "configured" || n == "unknown" {
			t.Errorf("%q is no name", n)
		}
	}
	all[0] = "changed"
	if Names()[0] == "changed" {
		t.Error("a caller can change the table")
	}
	if None.String() != "" || Prober(255).String() != "" {
		t.Error("no prober has a name")
	}
}

// Every row can match, leads to a prober and has a source; and a row leads to every name.
func TestProberTable(t *testing.T) {
	reached := map[Prober]bool{}
	check := func(who Prober, source, what string) {
		t.Helper()
		reached[who] = true
		if who == None || who >= Count {
			t.Errorf("%s leads to no prober", what)
		}
		if source == "" {
			t.Errorf("%s has no source", what)
		}
	}
	for _, a := range agents {
		check(a.who, a.source, a.value)
		if len(a.value) < len("YARP/") || len(a.value) > maxAgent {
			t.Errorf("%q is too short or too long", a.value)
		}
		if got := ByHead(headtest.Of("User-Agent", a.value)); got != a.who {
			t.Errorf("%q is %q, want %q: an earlier row hides it", a.value, got, a.who)
		}
		for _, o := range ordinaryAgents {
			if strings.HasPrefix(o, a.value) {
				t.Errorf("%q is in an ordinary User-Agent", a.value)
			}
		}
	}
	for _, f := range slices.Concat(fieldsNoAgent, fieldsGoAgent, fieldsOtherAgent) {
		check(f.who, f.source, f.name)
		if http.CanonicalHeaderKey(f.name) != f.name {
			t.Errorf("%s is not in canonical form", f.name)
		}
	}
	for _, r := range ranges {
		check(r.who, r.source, r.prefix.String())
		if r.prefix != r.prefix.Masked() {
			t.Errorf("%s has bits outside its mask", r.prefix)
		}
	}
	for p := None + 1; p < Configured; p++ {
		if !reached[p] {
			t.Errorf("no row leads to %s", p)
		}
	}
}
