package main

import "slices"

// frameworks are all, in the order of the table.
var frameworks = []string{"nethttp", "echo", "gin", "fiber"}

// on reports whether l can be served by a framework.
func (l *library) on(framework string) bool { return (framework == "fiber") == (l.handler == nil) }

// few are the libraries of the quick run on the servers that have not all of them.
var few = map[string][]string{
	"echo":  {"coder/websocket", "lxzan/gws"},
	"gin":   {"gorilla/websocket", "gobwas/ws"},
	"fiber": {"contrib/websocket", "fasthttp/websocket"},
}

// quickPlan is each library once, on net/http where it can be, and each server
// with two: plain and TLS, the set-ups, and deflate by turns.
func quickPlan() (plan []server) {
	for _, f := range frameworks {
		for _, l := range libraries {
			if !l.on(f) || f != "nethttp" && !slices.Contains(few[f], l.name) {
				continue
			}
			i := len(plan)
			s := server{library: l, framework: f, setup: served, tls: i%2 == 1, deflate: l.deflate && i/2%2 == 0}
			if i/3%2 == 1 {
				s.setup = attached
			}
			plan = append(plan, s)
		}
	}
	return plan
}

// wholePlan is all of it.
func wholePlan() (plan []server) {
	for _, l := range libraries {
		for _, f := range frameworks {
			if !l.on(f) {
				continue
			}
			for _, setup := range []string{served, attached} {
				for _, tls := range []bool{false, true} {
					plan = append(plan, server{library: l, framework: f, setup: setup, tls: tls})
					if l.deflate {
						plan = append(plan, server{library: l, framework: f, setup: setup, tls: tls, deflate: true})
					}
				}
			}
		}
	}
	return plan
}
