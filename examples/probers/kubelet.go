package main

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/kubernetes/pkg/probe"
	grpcprobe "k8s.io/kubernetes/pkg/probe/grpc"
	httpprobe "k8s.io/kubernetes/pkg/probe/http"
	tcpprobe "k8s.io/kubernetes/pkg/probe/tcp"
)

const (
	asks          = 3 // how often a prober asks that is asked to
	probePatience = time.Second
)

const (
	up   = "up"
	down = "down"
)

// asksOften lets a prober ask, and returns what it says if that is always the
// same.
func (t *trial) asksOften(ask func() (up bool, err error)) error {
	for range asks {
		good, err := ask()
		if err != nil {
			return err
		}
		verdict := map[bool]string{true: up, false: down}[good]
		if t.verdict != "" && t.verdict != verdict {
			return fmt.Errorf("the prober says %s and then %s", t.verdict, verdict)
		}
		t.verdict = verdict
	}
	return nil
}

// kubelet is what the kubelet runs for the probes of a pod.
func kubelet() group {
	httpGet := func(path string) func(*trial) error {
		return func(t *trial) error {
			host, at := t.server.hostPort()
			scheme := v1.URISchemeHTTP
			if t.tls {
				scheme = v1.URISchemeHTTPS
			}
			prober := httpprobe.New(false)
			return t.asksOften(func() (bool, error) {
				r, err := httpprobe.NewRequestForHTTPGetAction(
					&v1.HTTPGetAction{Path: path, Port: intstr.FromInt(at), Host: host, Scheme: scheme}, &v1.Container{}, host, "probe")
				if err != nil {
					return false, err
				}
				result, _, err := prober.Probe(r, probePatience)
				return result == probe.Success, err
			})
		}
	}
	tcpSocket := func(t *trial) error {
		host, at := t.server.hostPort()
		return t.asksOften(func() (bool, error) {
			result, _, err := tcpprobe.New().Probe(host, at, probePatience)
			return result == probe.Success, err
		})
	}
	grpc := func(t *trial) error {
		host, at := t.server.hostPort()
		return t.asksOften(func() (bool, error) {
			result, _, err := grpcprobe.New().Probe(host, "", at, probePatience)
			return result == probe.Success, err
		})
	}
	var rows []row
	for _, overTLS := range []bool{false, true} {
		rows = append(rows,
			row{way: "tcpSocket", do: tcpSocket, classes: []string{"tcp_probe unknown"}, verdict: up, tls: overTLS},
			row{way: "httpGet /readyz", do: httpGet("/readyz"), classes: []string{"http_probe kubelet"}, verdict: up, tls: overTLS},
			row{way: "httpGet /ws", do: httpGet("/ws"), classes: []string{"http_probe kubelet"}, verdict: up, tls: overTLS},
			// The servers do not speak gRPC, and log what to do. gRPC may close a
			// connection on which it has sent no data.
			row{way: "grpc", do: grpc, classes: []string{"wrong_protocol"}, spare: []string{"tcp_probe unknown"}, most: 2, verdict: down, tls: overTLS})
	}
	return group{rows: probers("kubelet", of("k8s.io/kubernetes"), rows)}
}

// probers fills in what the rows of a prober have in common: a session next to them
// works, and they are logged once.
func probers(program string, version func() string, rows []row) []row {
	for i := range rows {
		rows[i].program, rows[i].version, rows[i].session, rows[i].lines = program, version, "ok", 1
	}
	return rows
}

func (s *server) hostPort() (string, int) {
	host, port, _ := net.SplitHostPort(s.addr)
	n, _ := strconv.Atoi(port)
	return host, n
}

// commands are probers that run once for each probe and report by their exit status.
func commands() []group {
	plugins := "/usr/lib/nagios/plugins/"
	command := func(args func(s *server) []string) func(*trial) error {
		return func(t *trial) error {
			return t.asksOften(func() (bool, error) {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				words := args(t.server)
				cmd := exec.CommandContext(ctx, words[0], words[1:]...)
				err := cmd.Run()
				if cmd.ProcessState == nil {
					return false, err
				}
				return err == nil, nil
			})
		}
	}
	http := []string{"http_probe unknown"}
	var curl, wget, nagios []row
	for _, overTLS := range []bool{false, true} {
		curl = append(curl, row{way: "`curl -f` /healthz", tls: overTLS, verdict: up, classes: http, do: command(func(s *server) []string {
			return []string{"curl", "-fksS", "-o", "/dev/null", s.url("http") + "/healthz"}
		})})
		wget = append(wget, row{way: "`wget --spider` /healthz", tls: overTLS, verdict: up, classes: http, do: command(func(s *server) []string {
			return []string{"wget", "-q", "--no-check-certificate", "--tries=1", "--spider", s.url("http") + "/healthz"}
		})})
		at := func(s *server, program string, more ...string) []string {
			host, port := s.hostPort()
			args := []string{plugins + program, "-H", host, "-p", strconv.Itoa(port)}
			if s.tls {
				args = append(args, "-S")
			}
			return append(args, more...)
		}
		tcp := map[bool]string{false: "tcp_probe unknown", true: "tls_probe unknown"}[overTLS]
		nagios = append(nagios,
			row{way: "check_tcp", tls: overTLS, verdict: up, classes: []string{tcp}, do: command(func(s *server) []string {
				return at(s, "check_tcp")
			})},
			row{way: "check_http -u /readyz", tls: overTLS, verdict: up, classes: []string{"http_probe nagios"}, do: command(func(s *server) []string {
				return at(s, "check_http", "-u", "/readyz")
			})},
			row{way: "check_http -u /ws", tls: overTLS, verdict: up, classes: []string{"http_probe nagios"}, do: command(func(s *server) []string {
				return at(s, "check_http", "-u", "/ws")
			})})
	}
	return []group{
		{programs: []debian{{"curl", "curl"}}, rows: probers("curl", asked("curl", "--version"), curl)},
		{programs: []debian{{"wget", "wget"}}, rows: probers("wget", asked("wget", "--version"), wget)},
		{programs: []debian{{plugins + "check_http", "monitoring-plugins-basic"}}, rows: probers("monitoring-plugins", asked(plugins+"check_tcp", "--version"), nagios)},
	}
}
