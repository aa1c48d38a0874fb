package prober

import "net/netip"

// The known probers, in the order of their names. There is one for each system that
// probes, not for each of its kinds of probe.
const (
	None Prober = iota
	AWSELB
	AWSRoute53
	AzureAppService
	AzureFrontDoor
	AzureLB
	AzureTrafficManager
	BetterStack
	Blackbox
	CloudflareChecks
	CloudflareLB
	Consul
	Datadog
	Envoy
	Gatus
	GoogleLB
	GoogleUptime
	HAProxy
	Keepalived
	Knative
	Kubelet
	Nagios
	NewRelic
	Nomad
	Pingdom
	Railway
	Render
	StatusCake
	TencentCLB
	UptimeKuma
	UptimeRobot
	YARP
	Zabbix
	Configured // an unknown prober at an address of Config.ProbeSources

	Count // how many there are
)

var words = [Count]string{
	None:                "",
	AWSELB:              "aws-elb",
	AWSRoute53:          "aws-route53",
	AzureAppService:     "azure-app-service",
	AzureFrontDoor:      "azure-front-door",
	AzureLB:             "azure-lb",
	AzureTrafficManager: "azure-traffic-manager",
	BetterStack:         "better-stack",
	Blackbox:            "blackbox-exporter",
	CloudflareChecks:    "cloudflare-health-checks",
	CloudflareLB:        "cloudflare-lb",
	Consul:              "consul",
	Datadog:             "datadog-synthetics",
	Envoy:               "envoy",
	Gatus:               "gatus",
	GoogleLB:            "google-lb",
	GoogleUptime:        "google-uptime",
	HAProxy:             "haproxy",
	Keepalived:          "keepalived",
	Knative:             "knative",
	Kubelet:             "kubelet",
	Nagios:              "nagios",
	NewRelic:            "newrelic-synthetics",
	Nomad:               "nomad",
	Pingdom:             "pingdom",
	Railway:             "railway",
	Render:              "render",
	StatusCake:          "statuscake",
	TencentCLB:          "tencent-clb",
	UptimeKuma:          "uptime-kuma",
	UptimeRobot:         "uptimerobot",
	YARP:                "yarp",
	Zabbix:              "zabbix",
	Configured:          "configured",
}

// agentMatch says how a User-Agent is compared. Letter case always counts.
type agentMatch uint8

const (
	agentExact agentMatch = iota
	agentPrefix
	agentContains // in a User-Agent that does not look like a browser's
	agentSuffix   // the same
)

// agent is a User-Agent by which a prober is recognized.
type agent struct {
	who    Prober
	match  agentMatch
	value  string
	source string // a repository's path@commit, a page, or where it was seen
}

// agents has only texts that no other client sends. Left out on purpose:
//   - curl/, Wget and Go-http-client/1.1 (Docker and ECS health commands,
//     Traefik, Caddy, wait4x, dockerize, blackbox_exporter's WebSocket
//     prober): many other clients send those.
//   - kube-lifecycle/: a preStop or postStart hook is a call that has to reach
//     the application, not a question about its health.
//   - "Load Balancer Agent" (Azure Load Balancer) and Site24x7: no source was
//     found for the exact text. The first is recognized by its address.
//   - Fly.io, Azure Application Gateway, DigitalOcean, Huawei, Oracle, Kong,
//     Tengine, F5, nginx Plus: they send no User-Agent, or no documented one.
//   - scanners, such as zgrab, masscan, Nmap and Censys: a scanner is no prober.
var agents = []agent{
	// This prefix covers HTTP and gRPC probes, the probes that istio's agent passes
	// on (pilot/cmd/pilot-agent/status/server.go@86c9f01), and Knative's
	// queue-proxy, which has a slash between the numbers of the version
	// (knative/serving pkg/queue/health/probe.go@98e5ef9).
	{Kubelet, agentPrefix, "kube-probe/", "kubernetes/kubernetes pkg/probe/http/request.go@008b365, pkg/probe/grpc/grpc.go@04791b4"},

	{Knative, agentExact, "Knative-Activator-Probe", "knative/serving vendor/knative.dev/networking/pkg/http/header/header.go@98e5ef9"},
	{Knative, agentExact, "Knative-Queue-Proxy-Probe", "knative/serving vendor/knative.dev/networking/pkg/http/header/header.go@98e5ef9"},
	{Knative, agentExact, "Knative-Ingress-Probe", "knative/serving vendor/knative.dev/networking/pkg/http/header/header.go@98e5ef9"},
	{Knative, agentExact, "Knative-Autoscaling-Probe", "knative/serving vendor/knative.dev/networking/pkg/http/header/header.go@98e5ef9"},

	{AzureAppService, agentExact, "AlwaysOn", "https://devblogs.microsoft.com/premier-developer/404-response-code-caused-by-app-services-alwayson-feature/"},
	{AzureAppService, agentExact, "HealthCheck/1.0", "MicrosoftDocs/azure-docs issues 72495 and 63098; articles/app-service/monitor-instances-health-check.md@002a7f1"},
	{AzureAppService, agentPrefix, "ReadyForRequest/1.0", "MicrosoftDocs/azure-docs issues 72495 and 63098 (what the page said before)"},
	{AzureFrontDoor, agentExact, "Edge Health Probe", "MicrosoftDocs/azure-docs articles/frontdoor/health-probes.md@04cb5e0"},
	{AzureTrafficManager, agentExact, "Azure Traffic Manager Endpoint Monitor", "seen in public code; no page of the vendor's was found"},

	// Application and Network Load Balancers send 2.0, classic ones 1.0. The vendor
	// documents neither; both are in many public access logs.
	{AWSELB, agentExact, "ELB-HealthChecker/2.0", "https://qiita.com/Kanaemon/items/d2a1d8e438d20877f76a and public access logs"},
	{AWSELB, agentExact, "ELB-HealthChecker/1.0", "public access logs since 2013"},
	{AWSRoute53, agentPrefix, "Amazon-Route53-Health-Check-Service (ref ", "https://repost.aws/de/knowledge-center/route-53-fix-unwanted-health-checks"},
	{AWSRoute53, agentPrefix, "Amazon Route 53 Health Check Service; ref:", "public access logs (the older form)"},

	{GoogleLB, agentExact, "GoogleHC/1.0", "oauth2-proxy's GoogleHC/1.0 setting and other public code"},
	{GoogleUptime, agentPrefix, "GoogleStackdriverMonitoring-UptimeChecks", "https://cloud.google.com/monitoring/uptime-checks/using-uptime-checks and public access logs"},

	// The vendor's pages disagree about the spaces before these.
	{CloudflareChecks, agentContains, "Cloudflare-Healthchecks/1.0", "Cloudflare's zone lockdown and crawler pages"},
	{CloudflareLB, agentContains, "Cloudflare-Traffic-Manager/1.0", "Cloudflare's load balancing monitor pages; cloudflare/cloudflared connection/connection.go"},

	{Render, agentExact, "Render/1.0", "https://render.com/docs/health-checks; the text is seen in public code"},
	{Railway, agentExact, "RailwayHealthCheck/1.0", "https://docs.railway.com/deployments/healthchecks; the text is seen in application logs"},

	{Consul, agentExact, "Consul Health Check", "hashicorp/consul agent/checks/check.go@0303d8c"},
	{Nomad, agentPrefix, "Nomad/", "hashicorp/nomad helper/useragent/useragent.go, client/serviceregistration/checks/client.go@04a4fd6"},
	{Envoy, agentExact, "Envoy/HC", "envoyproxy/envoy source/common/http/headers.h, source/extensions/health_checkers/http/health_checker_impl.cc@00b6beb"},
	// The version may be missing; "YARP" alone as a prefix would match too much.
	{YARP, agentPrefix, "YARP/", "dotnet/yarp issue 991; DefaultProbingRequestFactory"},
	{YARP, agentPrefix, "YARP (Active Health Check Monitor)", "dotnet/yarp issue 991; DefaultProbingRequestFactory"},
	// Alibaba's load balancer may send the same text: then only the name is wrong.
	{Keepalived, agentExact, "KeepAliveClient", "acassen/keepalived keepalived/check/check_http.c@9cbce3e"},
	{TencentCLB, agentExact, "clb-healthcheck", "https://intl.cloud.tencent.com/document/product/214/6097"},

	// With a space before 0.28.0.
	{Blackbox, agentPrefix, "Blackbox-Exporter/", "prometheus/blackbox_exporter prober/http.go@e39d7d4"},
	{Blackbox, agentPrefix, "Blackbox Exporter/", "prometheus/blackbox_exporter CHANGELOG.md, 0.28.0"},
	{UptimeKuma, agentPrefix, "Uptime-Kuma/", "louislam/uptime-kuma server/uptime-kuma-server.js@6398a95"},
	{Gatus, agentExact, "Gatus/1.0", "TwiN/gatus config/endpoint/endpoint.go@08c4635"},
	{Zabbix, agentPrefix, "Zabbix ", "zabbix source, CURLOPT_USERAGENT"},
	{Nagios, agentPrefix, "check_http/v", "monitoring-plugins/monitoring-plugins plugins/check_http.c@7db2b28"},
	{Nagios, agentPrefix, "check_curl/v", "monitoring-plugins/monitoring-plugins plugins/check_curl.d/check_curl_helpers.c@7db2b28"},

	{Datadog, agentExact, "Datadog/Synthetics", "https://docs.datadoghq.com/synthetics/guide/identify_synthetics_bots"},
	{Datadog, agentSuffix, "DatadogSynthetics", "https://docs.datadoghq.com/synthetics/guide/identify_synthetics_bots (browser tests)"},
	{Pingdom, agentPrefix, "Pingdom.com_bot_version_", "public access logs"},
	{UptimeRobot, agentContains, "UptimeRobot/2.0", "TecharoHQ/anubis data/services/monitoring/uptime-robot.yaml@b4334fa"},
	// Seen at the end of a Chrome User-Agent.
	{StatusCake, agentContains, "StatusCake", "TecharoHQ/anubis data/services/monitoring/statuscake.yaml@18e4229"},
	// Seen before a Chrome User-Agent, with and without "Better Stack".
	{BetterStack, agentContains, "Better Uptime Bot", "public configurations; the NixOS module of TecharoHQ/anubis"},
}

// field is a header field by which a prober is recognized. name is in canonical form, and
// the value has to begin with prefix.
type field struct {
	who    Prober
	name   string
	prefix string
	source string
}

// Which fields are read depends on the User-Agent, so that a request costs at most two.
// Left out on purpose:
//   - X-FD-HealthProbe: Front Door always sends its User-Agent with it.
//   - X-Datadog-Origin, X-NewRelic-Synthetics: the vendors' agents pass them on
//     from the tested application to the services that it calls.
//   - X-MS-Auth-Internal-Token: its value is a secret of the operator.
var (
	// HAProxy's check sends no User-Agent (doc/configuration.txt, "option
	// httpchk"), and this field only with "http-check send-state". Without any
	// setting it sends no field at all; ByHead handles that.
	fieldsNoAgent = []field{
		{HAProxy, "X-Haproxy-Server-State", "", "haproxy/haproxy doc/configuration.txt@50872da, http-check send-state"},
	}
	// Knative marks probes that it passes on. Their User-Agent is then Go's default.
	fieldsGoAgent = []field{
		{Knative, "K-Network-Probe", "", "knative/serving vendor/knative.dev/networking/pkg/http/header/header.go@98e5ef9"},
		{Kubelet, "K-Kubelet-Probe", "", "knative/serving vendor/knative.dev/networking/pkg/http/header/header.go@98e5ef9"},
	}
	// In a synthetic test the operator can set the User-Agent.
	fieldsOtherAgent = []field{
		{Datadog, "Sec-Datadog", "Request sent by a Datadog Synthetics", "https://docs.datadoghq.com/synthetics/guide/identify_synthetics_bots"},
		{NewRelic, "X-Abuse-Info", "Request sent by a synthetic monitor", "https://docs.newrelic.com/docs/synthetics/new-relic-synthetics/administration/identify-synthetics-requests-your-app/"},
		{NewRelic, "X-Abuse-Info", "Request sent by a New Relic Synthetics Monitor", "the same page, older text"},
	}
)

// addrRange is a fixed range of addresses that a prober uses.
type addrRange struct {
	who Prober
	// shared means that others use it too, so the address alone names no prober.
	shared bool
	prefix netip.Prefix
	source string
}

// ranges has the ranges that vendors call fixed. Lists that a vendor publishes and changes
// are not here. Nor are ranges that IsPlatform includes anyway: 100.64.0.0/10 (Alibaba,
// Railway, Tencent), 127.0.0.6 (istio), fe80::/10 (Azure Load Balancer).
var ranges = []addrRange{
	{GoogleLB, false, netip.MustParsePrefix("35.191.0.0/16"), "hashicorp/terraform-provider-google google/services/resourcemanager/data_source_google_netblock_ip_ranges.go@0a504cd"},
	{GoogleLB, false, netip.MustParsePrefix("130.211.0.0/22"), "hashicorp/terraform-provider-google google/services/resourcemanager/data_source_google_netblock_ip_ranges.go@0a504cd"},
	{GoogleLB, false, netip.MustParsePrefix("209.85.152.0/22"), "the same file, legacy health checkers"},
	{GoogleLB, false, netip.MustParsePrefix("209.85.204.0/22"), "the same file, legacy health checkers"},
	{AzureLB, false, netip.MustParsePrefix("168.63.129.16/32"), "MicrosoftDocs/azure-docs articles/load-balancer/load-balancer-custom-probe-overview.md@0147a27"},
	{AWSRoute53, false, netip.MustParsePrefix("15.177.0.0/18"), "AWS ip-ranges.json, service ROUTE53_HEALTHCHECKS"},
	// Link-local, so others use it too: Azure App Service's front end is 169.254.129.1.
	{TencentCLB, true, netip.MustParsePrefix("169.254.128.0/17"), "https://intl.cloud.tencent.com/document/product/214/6097"},
	// istio's agent, and the ordinary traffic of its sidecar.
	{Kubelet, true, netip.MustParsePrefix("::6/128"), "istio/istio pilot/cmd/pilot-agent/status/server.go@86c9f01"},
}
