package main

import "testing"

// A flood from many sources has as many as it says.
func TestSources(t *testing.T) {
	seen := make(map[string]bool)
	for i := range 100_000 {
		ip := source(i)
		if !ip.IsLoopback() {
			t.Fatalf("%v is not this host's", ip)
		}
		seen[ip.String()] = true
	}
	if len(seen) != 100_000 {
		t.Errorf("%d sources", len(seen))
	}
}

func TestEmbryonicResets(t *testing.T) {
	if n, err := embryonicResets(); err != nil || n < 0 {
		t.Errorf("%d, %v", n, err)
	}
}
