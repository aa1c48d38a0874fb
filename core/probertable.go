package core

import "net/netip"

// The known probers, one name for each system that probes, not for each of its
// kinds of probe. The order is that of the names.
const (
	noProber prober = iota
	proberAWSELB
	proberAWSRoute53
	proberAzureAppService
	proberAzureFrontDoor
	proberAzureLB
	proberAzureTrafficManager
	proberBetterStack
	proberBlackbox
	proberCloudflareChecks
	proberCloudflareLB
	proberConsul
	proberDatadog
	proberEnvoy
	proberGatus
	proberGoogleLB
	proberGoogleUptime
	proberHAProxy
	proberKeepalived
	proberKnative
	proberKubelet
	proberNagios
	proberNewRelic
	proberNomad
	proberPingdom
	proberRailway
	proberRender
	proberStatusCake
	proberTencentCLB
	proberUptimeKuma
	proberUptimeRobot
	proberYARP
	proberZabbix
	proberConfigured // none of these, at an address of Config.ProbeSources

	probers // how many there are
)

var proberNames = [probers]string{
	noProber:                  "",
	proberAWSELB:              "aws-elb",
	proberAWSRoute53:          "aws-route53",
	proberAzureAppService:     "azure-app-service",
	proberAzureFrontDoor:      "azure-front-door",
	proberAzureLB:             "azure-lb",
	proberAzureTrafficManager: "azure-traffic-manager",
	proberBetterStack:         "better-stack",
	proberBlackbox:            "blackbox-exporter",
	proberCloudflareChecks:    "cloudflare-health-checks",
	proberCloudflareLB:        "cloudflare-lb",
	proberConsul:              "consul",
	proberDatadog:             "datadog-synthetics",
	proberEnvoy:               "envoy",
	proberGatus:               "gatus",
	proberGoogleLB:            "google-lb",
	proberGoogleUptime:        "google-uptime",
	proberHAProxy:             "haproxy",
	proberKeepalived:          "keepalived",
	proberKnative:             "knative",
	proberKubelet:             "kubelet",
	proberNagios:              "nagios",
	proberNewRelic:            "newrelic-synthetics",
	proberNomad:               "nomad",
	proberPingdom:             "pingdom",
	proberRailway:             "railway",
	proberRender:              "render",
	proberStatusCake:          "statuscake",
	proberTencentCLB:          "tencent-clb",
	proberUptimeKuma:          "uptime-kuma",
	proberUptimeRobot:         "uptimerobot",
	proberYARP:                "yarp",
	proberZabbix:              "zabbix",
	proberConfigured:          "configured",
}

// agentMatch is how a User-Agent is compared, always in its own letter case.
type agentMatch uint8

const (
	agentExact agentMatch = iota
	agentPrefix
	agentContains // in a User-Agent that does not look like a browser's
	agentSuffix   // the same
)

// proberAgent is one User-Agent by which a prober says who it is.
type proberAgent struct {
	who    prober
	match  agentMatch
	value  string
	source string // a repository's path@commit, a page, or where it was seen
}

// proberAgents has only what a prober alone sends. Left out on purpose:
//   - curl/, Wget and Go-http-client/1.1 (Docker and ECS health commands,
//     Traefik, Caddy, wait4x, dockerize, blackbox_exporter's WebSocket
//     prober): anybody sends those.
//   - kube-lifecycle/: a preStop or postStart hook is a call to the
//     application that has to reach it, not a question about its health.
//   - "Load Balancer Agent" (Azure Load Balancer) and Site24x7: no source was
//     found for the exact text. The first is known by its address.
//   - Fly.io, Azure Application Gateway, DigitalOcean, Huawei, Oracle, Kong,
//     Tengine, F5, nginx Plus: they send none, or none that is documented.
//   - the four scanners of the collection: a scanner is no prober.
var proberAgents = []proberAgent{
	// The one prefix covers HTTP and gRPC probes, what istio's agent passes on
	// (pilot/cmd/pilot-agent/status/server.go@86c9f01), and Knative's
	// queue-proxy, which puts a slash between the version's numbers
	// (knative/serving pkg/queue/health/probe.go@98e5ef9).
	{proberKubelet, agentPrefix, "kube-probe/", "kubernetes/kubernetes pkg/probe/http/request.go@008b365, pkg/probe/grpc/grpc.go@04791b4"},

	{proberKnative, agentExact, "Knative-Activator-Probe", "knative/serving vendor/knative.dev/networking/pkg/http/header/header.go@98e5ef9"},
	{proberKnative, agentExact, "Knative-Queue-Proxy-Probe", "knative/serving vendor/knative.dev/networking/pkg/http/header/header.go@98e5ef9"},
	{proberKnative, agentExact, "Knative-Ingress-Probe", "knative/serving vendor/knative.dev/networking/pkg/http/header/header.go@98e5ef9"},
	{proberKnative, agentExact, "Knative-Autoscaling-Probe", "knative/serving vendor/knative.dev/networking/pkg/http/header/header.go@98e5ef9"},

	{proberAzureAppService, agentExact, "AlwaysOn", "https://devblogs.microsoft.com/premier-developer/404-response-code-caused-by-app-services-alwayson-feature/"},
	{proberAzureAppService, agentExact, "HealthCheck/1.0", "MicrosoftDocs/azure-docs issues 72495 and 63098; articles/app-service/monitor-instances-health-check.md@002a7f1"},
	{proberAzureAppService, agentPrefix, "ReadyForRequest/1.0", "MicrosoftDocs/azure-docs issues 72495 and 63098 (what the page said before)"},
	{proberAzureFrontDoor, agentExact, "Edge Health Probe", "MicrosoftDocs/azure-docs articles/frontdoor/health-probes.md@04cb5e0"},
	{proberAzureTrafficManager, agentExact, "Azure Traffic Manager Endpoint Monitor", "seen in public code; no page of the vendor's was found"},

	// Application and Network Load Balancers send 2.0, classic ones 1.0. No
	// page of the vendor's names either; both stand in many public access logs.
	{proberAWSELB, agentExact, "ELB-HealthChecker/2.0", "https://qiita.com/Kanaemon/items/d2a1d8e438d20877f76a and public access logs"},
	{proberAWSELB, agentExact, "ELB-HealthChecker/1.0", "public access logs since 2013"},
	{proberAWSRoute53, agentPrefix, "Amazon-Route53-Health-Check-Service (ref ", "https://repost.aws/de/knowledge-center/route-53-fix-unwanted-health-checks"},
	{proberAWSRoute53, agentPrefix, "Amazon Route 53 Health Check Service; ref:", "public access logs (the older form)"},

	{proberGoogleLB, agentExact, "GoogleHC/1.0", "oauth2-proxy's GoogleHC/1.0 setting and other public code"},
	{proberGoogleUptime, agentPrefix, "GoogleStackdriverMonitoring-UptimeChecks", "https://cloud.google.com/monitoring/uptime-checks/using-uptime-checks and public access logs"},

	// The vendor's own pages disagree about the spaces before these.
	{proberCloudflareChecks, agentContains, "Cloudflare-Healthchecks/1.0", "Cloudflare's zone lockdown and crawler pages"},
	{proberCloudflareLB, agentContains, "Cloudflare-Traffic-Manager/1.0", "Cloudflare's load balancing monitor pages; cloudflare/cloudflared connection/connection.go"},

	{proberRender, agentExact, "Render/1.0", "https://render.com/docs/health-checks; the text is seen in public code"},
	{proberRailway, agentExact, "RailwayHealthCheck/1.0", "https://docs.railway.com/deployments/healthchecks; the text is seen in application logs"},

	{proberConsul, agentExact, "Consul Health Check", "hashicorp/consul agent/checks/check.go@0303d8c"},
	{proberNomad, agentPrefix, "Nomad/", "hashicorp/nomad helper/useragent/useragent.go, client/serviceregistration/checks/client.go@04a4fd6"},
	{proberEnvoy, agentExact, "Envoy/HC", "envoyproxy/envoy source/common/http/headers.h, source/extensions/health_checkers/http/health_checker_impl.cc@00b6beb"},
	// The version may be missing; a bare YARP prefix would take in too much.
	{proberYARP, agentPrefix, "YARP/", "dotnet/yarp issue 991; DefaultProbingRequestFactory"},
	{proberYARP, agentPrefix, "YARP (Active Health Check Monitor)", "dotnet/yarp issue 991; DefaultProbingRequestFactory"},
	// Alibaba's balancer may send the same text: only the name would be wrong.
	{proberKeepalived, agentExact, "KeepAliveClient", "acassen/keepalived keepalived/check/check_http.c@9cbce3e"},
	{proberTencentCLB, agentExact, "clb-healthcheck", "https://intl.cloud.tencent.com/document/product/214/6097"},

	// With a space before 0.28.0.
	{proberBlackbox, agentPrefix, "Blackbox-Exporter/", "prometheus/blackbox_exporter prober/http.go@e39d7d4"},
	{proberBlackbox, agentPrefix, "Blackbox Exporter/", "prometheus/blackbox_exporter CHANGELOG.md, 0.28.0"},
	{proberUptimeKuma, agentPrefix, "Uptime-Kuma/", "louislam/uptime-kuma server/uptime-kuma-server.js@6398a95"},
	{proberGatus, agentExact, "Gatus/1.0", "TwiN/gatus config/endpoint/endpoint.go@08c4635"},
	{proberZabbix, agentPrefix, "Zabbix ", "zabbix source, CURLOPT_USERAGENT"},
	{proberNagios, agentPrefix, "check_http/v", "monitoring-plugins/monitoring-plugins plugins/check_http.c@7db2b28"},
	{proberNagios, agentPrefix, "check_curl/v", "monitoring-plugins/monitoring-plugins plugins/check_curl.d/check_curl_helpers.c@7db2b28"},

	{proberDatadog, agentExact, "Datadog/Synthetics", "https://docs.datadoghq.com/synthetics/guide/identify_synthetics_bots"},
	{proberDatadog, agentSuffix, "DatadogSynthetics", "https://docs.datadoghq.com/synthetics/guide/identify_synthetics_bots (browser tests)"},
	{proberPingdom, agentPrefix, "Pingdom.com_bot_version_", "public access logs"},
	{proberUptimeRobot, agentContains, "UptimeRobot/2.0", "TecharoHQ/anubis data/services/monitoring/uptime-robot.yaml@b4334fa"},
	// Seen at the end of a Chrome User-Agent.
	{proberStatusCake, agentContains, "StatusCake", "TecharoHQ/anubis data/services/monitoring/statuscake.yaml@18e4229"},
	// Seen before a Chrome User-Agent, with and without "Better Stack".
	{proberBetterStack, agentContains, "Better Uptime Bot", "public configurations; the NixOS module of TecharoHQ/anubis"},
}

// proberField is one header field by which a prober says who it is. The name
// is in canonical form; the value has to begin with prefix.
type proberField struct {
	who    prober
	name   string
	prefix string
	source string
}

// The fields are looked for by the User-Agent that comes with them, so that a
// request pays for at most two. Left out on purpose:
//   - X-FD-HealthProbe: Front Door always sends its User-Agent with it.
//   - X-Datadog-Origin, X-NewRelic-Synthetics: the vendors' agents pass them
//     on, from a tested application to the services that it calls.
//   - X-MS-Auth-Internal-Token: its value is a secret of the operator's.
var (
	// HAProxy's own check sends no User-Agent (doc/configuration.txt, "option
	// httpchk"), and this only with "http-check send-state". Without any
	// setting it sends no field at all, which proberByHead knows.
	fieldsNoAgent = []proberField{
		{proberHAProxy, "X-Haproxy-Server-State", "", "haproxy/haproxy doc/configuration.txt@50872da, http-check send-state"},
	}
	// Knative marks the probes that reach it through others, whose User-Agent
	// is then Go's default.
	fieldsGoAgent = []proberField{
		{proberKnative, "K-Network-Probe", "", "knative/serving vendor/knative.dev/networking/pkg/http/header/header.go@98e5ef9"},
		{proberKubelet, "K-Kubelet-Probe", "", "knative/serving vendor/knative.dev/networking/pkg/http/header/header.go@98e5ef9"},
	}
	// In a synthetic test the User-Agent can be the operator's own.
	fieldsOtherAgent = []proberField{
		{proberDatadog, "Sec-Datadog", "Request sent by a Datadog Synthetics", "https://docs.datadoghq.com/synthetics/guide/identify_synthetics_bots"},
		{proberNewRelic, "X-Abuse-Info", "Request sent by a synthetic monitor", "https://docs.newrelic.com/docs/synthetics/new-relic-synthetics/administration/identify-synthetics-requests-your-app/"},
		{proberNewRelic, "X-Abuse-Info", "Request sent by a New Relic Synthetics Monitor", "the same page, older text"},
	}
)

// proberRange is a fixed range of addresses from which a prober comes.
type proberRange struct {
	who prober
	// shared: others use it too, so the address alone names nobody.
	shared bool
	prefix netip.Prefix
	source string
}

// proberRanges has the ranges that vendors call fixed. Published lists change
// and are not here, nor are ranges inside those that platformAddr knows in any
// case: 100.64.0.0/10 (Alibaba, Railway, Tencent), 127.0.0.6 (istio), fe80::/10
// (Azure Load Balancer).
var proberRanges = []proberRange{
	{proberGoogleLB, false, netip.MustParsePrefix("35.191.0.0/16"), "hashicorp/terraform-provider-google google/services/resourcemanager/data_source_google_netblock_ip_ranges.go@0a504cd"},
	{proberGoogleLB, false, netip.MustParsePrefix("130.211.0.0/22"), "hashicorp/terraform-provider-google google/services/resourcemanager/data_source_google_netblock_ip_ranges.go@0a504cd"},
	{proberGoogleLB, false, netip.MustParsePrefix("209.85.152.0/22"), "the same file, legacy health checkers"},
	{proberGoogleLB, false, netip.MustParsePrefix("209.85.204.0/22"), "the same file, legacy health checkers"},
	{proberAzureLB, false, netip.MustParsePrefix("168.63.129.16/32"), "MicrosoftDocs/azure-docs articles/load-balancer/load-balancer-custom-probe-overview.md@0147a27"},
	{proberAWSRoute53, false, netip.MustParsePrefix("15.177.0.0/18"), "AWS ip-ranges.json, service ROUTE53_HEALTHCHECKS"},
	// Link-local, so anybody's: Azure App Service's front end is 169.254.129.1.
	{proberTencentCLB, true, netip.MustParsePrefix("169.254.128.0/17"), "https://intl.cloud.tencent.com/document/product/214/6097"},
	// istio's agent, and its sidecar's ordinary traffic.
	{proberKubelet, true, netip.MustParsePrefix("::6/128"), "istio/istio pilot/cmd/pilot-agent/status/server.go@86c9f01"},
}
