package probetest

// The requests of well-known probers. They have only what is documented or was observed.
// Use [Request.With] for a header that an operator adds.

// Kubelet is the httpGet probe of Kubernetes (pkg/probe/http/request.go).
func Kubelet(path string) Request {
	return Request{Path: path, Header: []Field{
		{"User-Agent", "kube-probe/1.33"}, {"Accept", "*/*"}, {"Connection", "close"},
	}}
}

// ALB is the health check of an AWS Application Load Balancer, and of a Network
// Load Balancer set to HTTP.
func ALB(path string) Request {
	return Request{Path: path, Header: []Field{
		{"Connection", "close"}, {"User-Agent", "ELB-HealthChecker/2.0"},
	}}
}

// GoogleHC is the health check of Google Cloud's load balancers.
func GoogleHC(path string) Request {
	return Request{Path: path, Header: []Field{{"User-Agent", "GoogleHC/1.0"}}}
}

// Route53 is an AWS Route 53 health check.
func Route53(path string) Request {
	return Request{Path: path, Header: []Field{
		{"Accept", "*/*"}, {"Accept-Encoding", "identity,gzip,deflate"},
		{"User-Agent", "Amazon-Route53-Health-Check-Service (ref 11111111-2222-3333-4444-555555555555; report http://amzn.to/1vsZADi)"},
	}}
}

// FrontDoor is the probe of Azure Front Door, with HEAD as in new profiles.
func FrontDoor(path string) Request {
	return Request{Method: "HEAD", Path: path, Header: []Field{
		{"User-Agent", "Edge Health Probe"}, {"X-FD-HealthProbe", "1"},
	}}
}

// HAProxy is "option httpchk" without further settings: OPTIONS over
// HTTP/1.0, no Host, no User-Agent, and a reset after the answer.
func HAProxy(path string) Request {
	return Request{Method: "OPTIONS", Path: path, Proto: "HTTP/1.0", NoHost: true, End: RST}
}

// Tengine is the check of the upstream check module of Tengine, also used with nginx: GET
// over HTTP/1.0, no Host, no User-Agent.
func Tengine(path string) Request {
	return Request{Path: path, Proto: "HTTP/1.0", NoHost: true}
}

// Keepalived is the HTTP_GET checker of keepalived.
func Keepalived(path string) Request {
	return Request{Path: path, Proto: "HTTP/1.0", Header: []Field{{"User-Agent", "KeepAliveClient"}}}
}

// Consul is an HTTP check of Consul (agent/checks/check.go).
func Consul(path string) Request {
	return Request{Path: path, Header: []Field{
		{"User-Agent", "Consul Health Check"}, {"Accept", "text/plain, text/*, */*"},
		{"Accept-Encoding", "gzip"}, {"Connection", "close"},
	}}
}

// Envoy is Envoy's HTTP health checker. Its Host is the name of the cluster by default.
func Envoy(path string) Request {
	return Request{Path: path, Host: "backend", Header: []Field{{"User-Agent", "Envoy/HC"}}}
}

// Curl is what HEALTHCHECK lines of container images run.
func Curl(path string) Request {
	return Request{Path: path, Header: []Field{{"User-Agent", "curl/8.14.1"}, {"Accept", "*/*"}}}
}
