package probetest

import "testing"

func TestProbersBytes(t *testing.T) {
	target := Target{Addr: "10.0.0.7:8080"}
	const host = "Host: 10.0.0.7:8080\r\n"
	for _, row := range []struct {
		prober string
		r      Request
		want   string
		end    End
	}{
		{"kubelet", Kubelet("/livez"), "GET /livez HTTP/1.1\r\n" + host + "User-Agent: kube-probe/1.33\r\nAccept: */*\r\nConnection: close\r\n\r\n", FIN},
		{"ALB", ALB("/"), "GET / HTTP/1.1\r\n" + host + "Connection: close\r\nUser-Agent: ELB-HealthChecker/2.0\r\n\r\n", FIN},
		{"GoogleHC", GoogleHC("/"), "GET / HTTP/1.1\r\n" + host + "User-Agent: GoogleHC/1.0\r\n\r\n", FIN},
		{"Route 53", Route53("/h"), "GET /h HTTP/1.1\r\n" + host + "Accept: */*\r\nAccept-Encoding: identity,gzip,deflate\r\n" +
			"User-Agent: Amazon-Route53-Health-Check-Service (ref 11111111-2222-3333-4444-555555555555; report http://amzn.to/1vsZADi)\r\n\r\n", FIN},
		{"Front Door", FrontDoor("/h"), "HEAD /h HTTP/1.1\r\n" + host + "User-Agent: Edge Health Probe\r\nX-FD-HealthProbe: 1\r\n\r\n", FIN},
		{"HAProxy", HAProxy("/"), "OPTIONS / HTTP/1.0\r\n\r\n", RST},
		{"Tengine", Tengine("/"), "GET / HTTP/1.0\r\n\r\n", FIN},
		{"keepalived", Keepalived("/h"), "GET /h HTTP/1.0\r\n" + host + "User-Agent: KeepAliveClient\r\n\r\n", FIN},
		{"Consul", Consul("/h"), "GET /h HTTP/1.1\r\n" + host + "User-Agent: Consul Health Check\r\nAccept: text/plain, text/*, */*\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n", FIN},
		{"Envoy", Envoy("/h"), "GET /h HTTP/1.1\r\nHost: backend\r\nUser-Agent: Envoy/HC\r\n\r\n", FIN},
		{"curl", Curl("/h"), "GET /h HTTP/1.1\r\n" + host + "User-Agent: curl/8.14.1\r\nAccept: */*\r\n\r\n", FIN},
	} {
		if got := string(row.r.Bytes(target)); got != row.want || row.r.End != row.end {
			t.Errorf("%s:\ngot  %q, %v\nwant %q, %v", row.prober, got, row.r.End, row.want, row.end)
		}
	}
}
