package core

import (
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/quietws/quietws/core/internal/head/headtest"
)

// What is remembered of an address equals what would be found again.
func TestPeerCache(t *testing.T) {
	g := quietGuard(t, Config{ProbeSources: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}})
	texts := []string{"", "@", "nonsense", "pipe", "10.0.0.1:80", "10.0.0.1:81", "198.51.100.7:1", "203.0.113.9:1", "[fe80::1%eth0]:5", "[::ffff:10.0.0.1]:80",
		"[2001:db8::1]:443", "[2001:db8::1%" + strings.Repeat("z", 100) + "]:443"}
	for i := range 100 {
		texts = append(texts, "203.0.113.9:"+strconv.Itoa(40000+i))
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 3 {
				for _, text := range texts {
					r := asked("GET", "/")
					r.RemoteAddr = text
					h := httpHead{r}
					for range 2 { // the second is from memory
						addr, platform := g.peer(h)
						if addr != h.Remote() || platform != g.platform(h.Remote().Addr()) {
							t.Errorf("%q: %v, platform %v", text, addr, platform)
						}
					}
				}
			}
		})
	}
	wg.Wait()
	agent := headtest.Of()
	if addr, platform := g.peer(agent); addr != agent.Remote() || platform {
		t.Errorf("a head of another family, without an address: %v, platform %v", addr, platform)
	}
}
