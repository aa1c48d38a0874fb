package prober

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/quietws/quietws/core/internal/head"
	"github.com/quietws/quietws/core/internal/head/headtest"
)

// ordinaryAgents are the User-Agents of real browsers and other clients; none is a prober.
var ordinaryAgents = []string{
	chromeAgent,
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4.1 Safari/605.1.15",
	"Mozilla/5.0 (X11; Linux x86_64; rv:126.0) Gecko/20100101 Firefox/126.0",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [FBAN/FBIOS;FBLC/en_US]",
	"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
	"curl/8.4.0", "Wget", "Wget/1.21.3", "Go-http-client/1.1", "Go-http-client/2.0", "okhttp/4.12.0", "python-requests/2.31.0",
}

const chromeAgent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36"

func TestProberByHead(t *testing.T) {
	type row struct {
		rule   string
		fields []string
		want   string
	}
	agent := func(rule, agent, want string) row { return row{rule, []string{"User-Agent", agent}, want} }
	rows := []row{
		agent("an exact text with more after it is another", "ELB-HealthChecker/2.0evil", ""),
		agent("an exact text with more before it is another", " ELB-HealthChecker/2.0", ""),
		agent("an exact text cut short is another", "ELB-HealthChecker/2", ""),
		agent("an unknown version of an exact text is another", "GoogleHC/2.0", ""),
		agent("a prefix stands at the start", "xkube-probe/1.30", ""),
		agent("a prefix stands at the start, not after a space", "curl/8.4.0 kube-probe/1.30", ""),
		agent("letter case counts", "KUBE-PROBE/1.30", ""),
		agent("letter case counts in every byte", "kube-Probe/1.30", ""),
		agent("a prefix is whole", "kube-probe", ""),
		agent("a hook of the kubelet's is no probe", "kube-lifecycle/1.30", ""),
		agent("a name that only begins like YARP's", "YARPX/1.0", ""),
		agent("a name inside is whole", "Mozilla/5.0 (compatible; UptimeRobot/1.9; http://www.uptimerobot.com/)", ""),
		agent("a suffix stands at the end", "DatadogSynthetics (a copy)", ""),
		agent("a scanner is no prober", "Mozilla/5.0 zgrab/0.x", ""),
		agent("a scanner is no prober", "ivre-masscan/1.3 https://ivre.rocks/", ""),
		agent("a scanner is no prober", "Mozilla/5.0 (compatible; Nmap Scripting Engine; https://nmap.org/book/nse.html)", ""),
		agent("a scanner is no prober", "Mozilla/5.0 (compatible; CensysInspect/1.1; +https://about.censys.io/)", ""),
		agent("a NUL ends nothing", "kube\x00-probe/1.30", ""),
		agent("a NUL before it", "\x00kube-probe/1.30", ""),
		agent("a NUL after an exact text", "Envoy/HC\x00", ""),
		agent("bytes that are no text", "\xff\xfe\xfd", ""),
		agent("one byte", "k", ""),
		agent("nothing after the 512th byte counts", strings.Repeat("a", 500)+" UptimeRobot/2.0", ""),
		agent("a suffix after the 512th byte does not count", strings.Repeat("a", 600)+" DatadogSynthetics", ""),
		agent("a suffix at the cut is not one", strings.Repeat("a", 495)+"DatadogSyntheticsX", ""),
		agent("what is common to many requests names no prober", strings.Repeat("Mozilla/5.0 ", 1<<17), ""),

		{"HAProxy's state without a User-Agent", []string{"X-Haproxy-Server-State", "UP 2/3; name=bck/srv2"}, "haproxy"},
		{"Knative's mark on a Go client", []string{"User-Agent", "Go-http-client/1.1", "K-Network-Probe", "queue"}, "knative"},
		{"the kubelet's mark on a Go client", []string{"User-Agent", "Go-http-client/1.1", "K-Kubelet-Probe", "queue"}, "kubelet"},
		{"a mark is not looked for behind a browser", []string{"User-Agent", chromeAgent, "K-Network-Probe", "queue"}, ""},
		{"Datadog's mark with an agent of the operator's", []string{"User-Agent", "acme-check", "Sec-Datadog", "Request sent by a Datadog Synthetics API Test (https://docs.datadoghq.com/synthetics/) - test_id: 1"}, "datadog-synthetics"},
		{"another value of Datadog's field", []string{"User-Agent", "acme-check", "Sec-Datadog", "yes"}, ""},
		{"New Relic's mark", []string{"User-Agent", "NewRelicPinger/1.0 (1)", "X-Abuse-Info", "Request sent by a synthetic monitor (https://docs.newrelic.com/) - monitor id: 1 | account id: 1"}, "newrelic-synthetics"},
		{"New Relic's older mark", []string{"User-Agent", "NewRelicPinger/1.0 (1)", "X-Abuse-Info", "Request sent by a New Relic Synthetics Monitor x - monitor id: 1"}, "newrelic-synthetics"},
		{"another sender's abuse address", []string{"User-Agent", "acme", "X-Abuse-Info", "mailto:abuse@example.com"}, ""},
		{"what Datadog's agents pass on to other services", []string{"User-Agent", "acme", "X-Datadog-Origin", "synthetics"}, ""},
		{"two User-Agents, the first decides", []string{"User-Agent", "kube-probe/1.30", "User-Agent", "evil"}, "kubelet"},
		{"two User-Agents are no exact text", []string{"User-Agent", "Envoy/HC", "User-Agent", "evil"}, ""},
		{"nothing at all", nil, ""},
	}
	for _, a := range ordinaryAgents {
		rows = append(rows, agent("an ordinary User-Agent", a, ""))
	}
	for _, r := range rows {
		if got := ByHead(headtest.Of(r.fields...)).String(); got != r.want {
			t.Errorf("%s: %.120q is %q, want %q", r.rule, r.fields, got, r.want)
		}
	}
}

// What a request costs: its User-Agent, and the fields of this table.
func TestProberByHeadLooksAtFewFields(t *testing.T) {
	for _, r := range []struct {
		rule, agent string
		want        []string
	}{
		{"a browser pays for nothing more", chromeAgent, []string{"User-Agent"}},
		{"a known prober pays for nothing more", "kube-probe/1.30", []string{"User-Agent"}},
		{"no User-Agent: one more", "", []string{"User-Agent", "X-Haproxy-Server-State"}},
		{"a Go client: two", "Go-http-client/1.1", []string{"User-Agent", "K-Network-Probe", "K-Kubelet-Probe"}},
		{"any other: two, whatever the number of rows", "okhttp/4.12.0", []string{"User-Agent", "Sec-Datadog", "X-Abuse-Info"}},
	} {
		h := headtest.Of("User-Agent", r.agent)
		h.Asked = []string{}
		ByHead(h)
		if !slices.Equal(h.Asked, r.want) {
			t.Errorf("%s: asked for %q, want %q", r.rule, h.Asked, r.want)
		}
	}
}

func TestProberByHeadAllocatesNothing(t *testing.T) {
	agents := append([]string{"", "kube-probe/1.30", chromeAgent + " StatusCake", strings.Repeat("x", 1<<20)}, ordinaryAgents...)
	for _, a := range agents {
		h := headtest.Of("User-Agent", a)
		if n := testing.AllocsPerRun(100, func() { ByHead(h) }); n != 0 {
			t.Errorf("%.40q: %v allocations", a, n)
		}
	}
}

// Whatever the peer sends: no panic, and a prober only if the text of one of its rows is in
// the part that is read.
func FuzzProberByHead(f *testing.F) {
	f.Add("")
	f.Add(chromeAgent)
	for _, a := range agents {
		f.Add(a.value)
		f.Add("Mozilla/5.0 (compatible; " + a.value + ")")
	}
	f.Fuzz(func(t *testing.T, agent string) {
		got := ByHead(headtest.Of("User-Agent", agent))
		if got == None {
			return
		}
		for _, a := range agents {
			if a.who == got && strings.Contains(agent[:min(len(agent), maxAgent)], a.value) {
				return
			}
		}
		t.Errorf("%q is %s", agent, got)
	})
}

func TestProberByAddr(t *testing.T) {
	for _, r := range []struct {
		rule, addr, want string
		platform         bool
	}{
		{"the internet", "203.0.113.9", "", false},
		{"the internet", "2001:db8::1", "", false},
		{"the internet written as IPv6", "::ffff:203.0.113.9", "", false},
		{"just below Google's range", "35.190.255.255", "", false},
		{"just above Google's range", "35.192.0.0", "", false},
		{"just above Google's other range", "130.211.4.0", "", false},
		{"next to Azure's address", "168.63.129.17", "", false},
		{"just above Route 53's range", "15.177.64.0", "", false},
		{"just below the shared space", "100.63.255.255", "", false},
		{"just above the shared space", "100.128.0.0", "", false},
		{"just above 172.16.0.0/12", "172.32.0.1", "", false},
		{"next to istio's address", "::7", "", false},
		{"the unspecified address is no source", "0.0.0.0", "", false},
		{"multicast is no source", "224.0.0.1", "", false},

		{"loopback", "127.0.0.1", "", true},
		{"loopback", "::1", "", true},
		{"istio's agent shares its address with its sidecar's traffic", "127.0.0.6", "", true},
		{"istio's agent shares its address with its sidecar's traffic", "::6", "", true},
		{"private", "10.1.2.3", "", true},
		{"private", "172.31.255.255", "", true},
		{"private", "192.168.1.1", "", true},
		{"private", "fd00::1", "", true},
		{"private written as IPv6", "::ffff:10.1.2.3", "", true},
		{"link-local", "169.254.1.1", "", true},
		{"link-local names no prober: this is Azure App Service's front end", "169.254.129.1", "", true},
		{"link-local with a zone", "fe80::1%eth0", "", true},
		{"shared by many clouds", "100.64.0.2", "", true},
		{"shared by many clouds, written as IPv6", "::ffff:100.127.255.255", "", true},

		{"", "35.191.1.228", "google-lb", true},
		{"", "130.211.3.255", "google-lb", true},
		{"", "209.85.152.1", "google-lb", true},
		{"", "209.85.207.255", "google-lb", true},
		{"written as IPv6", "::ffff:35.191.0.1", "google-lb", true},
		{"written as IPv6 with a zone", "::ffff:35.191.0.1%eth0", "google-lb", true},
		{"", "168.63.129.16", "azure-lb", true},
		{"", "15.177.63.255", "aws-route53", true},
	} {
		a := netip.MustParseAddr(r.addr)
		if got := ByAddr(a).String(); got != r.want {
			t.Errorf("%s: %s is %q, want %q", r.rule, r.addr, got, r.want)
		}
		if got := IsPlatform(a); got != r.platform {
			t.Errorf("%s: IsPlatform(%s) = %t", r.rule, r.addr, got)
		}
	}
	if ByAddr(netip.Addr{}) != None || IsPlatform(netip.Addr{}) {
		t.Error("the zero address has a prober")
	}
}

func TestProberInOwnRange(t *testing.T) {
	for _, r := range []struct {
		who  Prober
		addr string
		want bool
	}{
		{GoogleLB, "10.0.0.1", false},
		{GoogleLB, "168.63.129.16", false},
		{Kubelet, "35.191.0.1", false},
		{None, "35.191.0.1", false},
		{None, "203.0.113.9", false},
		{Prober(255), "35.191.0.1", false},
		{GoogleLB, "35.191.0.1", true},
		{GoogleLB, "::ffff:35.191.0.1", true},
		{GoogleLB, "209.85.204.9", true},
		{AWSRoute53, "15.177.2.3", true},
		{TencentCLB, "169.254.128.1", true},
	} {
		if got := r.who.InOwnRange(netip.MustParseAddr(r.addr)); got != r.want {
			t.Errorf("%q.InOwnRange(%s) = %t", r.who, r.addr, got)
		}
	}
	if GoogleLB.InOwnRange(netip.Addr{}) {
		t.Error("a unix socket is in a range")
	}
}

// The row "field" is what any layer pays for the User-Agent alone; the others
// are to stay within 25 ns of it for a browser and for no User-Agent.
func BenchmarkProberByHead(b *testing.B) {
	b.Run("field", func(b *testing.B) {
		var h head.Head = headtest.Of("User-Agent", chromeAgent)
		b.ReportAllocs()
		for b.Loop() {
			h.Field("User-Agent")
		}
	})
	for _, r := range []struct{ name, agent string }{
		{"browser", chromeAgent},
		{"none", ""},
		{"kubelet", "kube-probe/1.30"},
		{"go", "Go-http-client/1.1"},
		{"other", "okhttp/4.12.0"},
		{"crawler", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"},
		{"statuscake", chromeAgent + " StatusCake"},
		{"megabyte", strings.Repeat("x", 1<<20)},
	} {
		b.Run(r.name, func(b *testing.B) {
			var h head.Head = headtest.Of("User-Agent", r.agent)
			b.ReportAllocs()
			for b.Loop() {
				ByHead(h)
			}
		})
	}
}

func BenchmarkPlatformAddr(b *testing.B) {
	public := netip.MustParseAddr("203.0.113.9")
	b.ReportAllocs()
	for b.Loop() {
		IsPlatform(public)
	}
}
