package core

import (
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quietws/quietws/core/internal/prober"
)

// Each wrong setting is one error that names it and says what it should be.
func TestConfigWrong(t *testing.T) {
	for _, row := range []struct {
		c    Config
		want string // the field, and part of the text about it
	}{
		{Config{MaxSessions: -1}, "Config.MaxSessions is -1"},
		{Config{Collapse: -time.Second}, "Config.Collapse is -1s"},
		{Config{Drain: DrainConfig{Timeout: -time.Second}}, "Config.Drain.Timeout is -1s"},
		{Config{Drain: DrainConfig{Spread: 10 * time.Second}}, "Config.Drain.Spread is 10s"},
		{Config{Drain: DrainConfig{Timeout: time.Second, Spread: 2 * time.Second}}, "Config.Drain.Spread is 2s"},
		{Config{Drain: DrainConfig{Timeout: 9}}, "Config.Drain.Timeout is 9ns; a number without a unit is nanoseconds: write 9 * time.Second"},
		{Config{Drain: DrainConfig{Timeout: 9000}}, "Config.Drain.Timeout is 9µs; a number without a unit is nanoseconds: write 9000 * time.Millisecond"},
		{Config{Drain: DrainConfig{Spread: 2}}, "Config.Drain.Spread is 2ns"},
		{Config{Collapse: 60}, "Config.Collapse is 60ns"},
		{Config{Summary: 3600}, "Config.Summary is 3.6µs"},
		{Config{Drain: DrainConfig{Code: -1}}, "Config.Drain.Code is -1"},
		{Config{Drain: DrainConfig{Code: 999}}, "Config.Drain.Code is 999"},
		{Config{Drain: DrainConfig{Code: 1004}}, "Config.Drain.Code is 1004"},
		{Config{Drain: DrainConfig{Code: 1005}}, "Config.Drain.Code is 1005"},
		{Config{Drain: DrainConfig{Code: 1006}}, "Config.Drain.Code is 1006"},
		{Config{Drain: DrainConfig{Code: 1015}}, "Config.Drain.Code is 1015"},
		{Config{Drain: DrainConfig{Code: 5000}}, "Config.Drain.Code is 5000"},
		{Config{Routes: Routes{Live: "livez"}}, `Config.Routes names "livez" for live`},
		{Config{Routes: Routes{Ready: "/readyz?full"}}, `Config.Routes names "/readyz?full" for ready`},
		{Config{Routes: Routes{Startup: "/a b"}}, `Config.Routes names "/a b" for startup`},
		{Config{Routes: Routes{Health: "/a\r\nB: c"}}, `Config.Routes names "/a\r\nB: c" for health`},
		{Config{Routes: Routes{Health: "/readyz"}}, `Config.Routes has "/readyz" for both ready and health`},
		{Config{Routes: Routes{Live: "/up", Ready: "/up"}}, `Config.Routes has "/up" for both live and ready`},
		{Config{ProbePaths: []string{"/", ""}}, `Config.ProbePaths has ""`},
		{Config{ProbePaths: []string{"ws"}}, `Config.ProbePaths has "ws"`},
		{Config{ProbePaths: []string{"/#top"}}, `Config.ProbePaths has "/#top"`},
		{Config{ProbePaths: []string{"/ws/*"}}, `Config.ProbePaths has "/ws/*"; a path is compared whole and not as a pattern: write each path out`},
		{Config{ProbePaths: []string{"/ws/:room"}}, `Config.ProbePaths has "/ws/:room"; a path is compared whole`},
		{Config{ProbePaths: []string{"/ws/{room}"}}, `Config.ProbePaths has "/ws/{room}"; a path is compared whole`},
		{Config{Routes: Routes{Ready: "/health/*"}}, `Config.Routes names "/health/*" for ready; a path is compared whole`},
		{Config{AppHealth: []string{"health"}}, `Config.AppHealth has "health"; a path begins with a slash`},
		{Config{AppHealth: []string{"/health/*"}}, `Config.AppHealth has "/health/*"; a path is compared whole`},
		{Config{AppHealth: []string{"/readyz"}}, `Config.AppHealth has "/readyz", which is Config.Routes.Ready too; if the application answers it set that to "-"`},
		{Config{AppHealth: []string{"/up"}, Routes: Routes{Live: "/up"}}, `Config.AppHealth has "/up", which is Config.Routes.Live too`},
		{Config{AppHealth: []string{"/up"}, ProbePaths: []string{"/up"}}, `Config.AppHealth has "/up", which is in Config.ProbePaths too`},
		{Config{ProbeSources: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), {}}}, "Config.ProbeSources"},
		{Config{TrustedProxies: []netip.Prefix{{}}}, "Config.TrustedProxies"},
	} {
		g, err := New(row.c)
		if g != nil || err == nil {
			t.Errorf("%s: New returns no error", row.want)
			continue
		}
		text := err.Error()
		if !strings.Contains(text, row.want) || !strings.HasPrefix(text, "quietws: ") || strings.Contains(text, "\n") {
			t.Errorf("want one error with %q, got %q", row.want, text)
		}
		// Correct settings must not be named.
		for _, field := range []string{"MaxSessions", "Collapse", "Timeout", "Spread is", "Code", "Routes", "ProbePaths", "AppHealth", "ProbeSources", "TrustedProxies"} {
			if !strings.Contains(row.want, field) && strings.Contains(text, "."+field) {
				t.Errorf("%q names %s, which is right", text, field)
			}
		}
	}
}

func TestConfigErrorsAreJoined(t *testing.T) {
	_, err := New(Config{
		MaxSessions: -1, Collapse: -1, Drain: DrainConfig{Code: 1},
		Routes: Routes{Live: "x", Ready: "/healthz"}, ProbePaths: []string{"y"}, TrustedProxies: make([]netip.Prefix, 1),
	})
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 7 {
		t.Fatalf("want the seven faults joined, got %v", err)
	}
}

func TestConfigFine(t *testing.T) {
	for rule, c := range map[string]Config{
		"the zero value":                                       {},
		"no summaries, no spread":                              {Summary: -1, Drain: DrainConfig{Spread: -1}},
		"no repeats counted":                                   {Collapse: time.Nanosecond},
		"service restart":                                      {Drain: DrainConfig{Code: 1012}},
		"a code of the application's own":                      {Drain: DrainConfig{Code: 4000}},
		"all routes off":                                       {Routes: Routes{"-", "-", "-", "-"}},
		"a default path is free where its route is off":        {Routes: Routes{Ready: "-", Health: "/readyz"}},
		"a default path is free where its route has another":   {Routes: Routes{Ready: "/up", Health: "/readyz"}},
		"a probe path that is a health route's":                {ProbePaths: []string{"/", "/ws", "/healthz"}},
		"the application's health routes":                      {AppHealth: []string{"/health", "/v1/health/", "/v1/health:check"}},
		"one of a default path that is off":                    {AppHealth: []string{"/readyz", "/readyz"}, Routes: Routes{Ready: "-"}},
		"a probe path twice":                                   {ProbePaths: []string{"/ws", "/ws"}},
		"a spread as long as the deadline":                     {Drain: DrainConfig{Timeout: time.Second, Spread: time.Second}},
		"a deadline that is shorter than the default's spread": {Drain: DrainConfig{Timeout: time.Millisecond}},
		"every address":                                        {ProbeSources: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}},
	} {
		if c.Logger == nil {
			c.Logger = slog.New(slog.DiscardHandler)
		}
		g, err := New(c)
		if err != nil {
			t.Errorf("%s: %v", rule, err)
			continue
		}
		if err := g.Close(); err != nil {
			t.Errorf("%s: %v", rule, err)
		}
	}
}

func TestConfigDefaults(t *testing.T) {
	c, err := Config{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Logger: slog.Default(), Summary: time.Hour, Collapse: time.Minute,
		Drain: DrainConfig{Timeout: 9 * time.Second, Fall: 3, Spread: 9 * time.Second / 4, Code: 1001},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("the defaults are %+v\nwant %+v", c, want)
	}
	c, err = Config{Drain: DrainConfig{Timeout: 20 * time.Second}, Summary: -1}.withDefaults()
	if err != nil || c.Drain.Spread != 5*time.Second || c.Summary >= 0 {
		t.Errorf("spread %v, want a quarter of the timeout; summary %v, want off (%v)", c.Drain.Spread, c.Summary, err)
	}
}

// An IPv4-mapped IPv6 prefix means the IPv4 addresses.
func TestMappedPrefixes(t *testing.T) {
	g := quietGuard(t, Config{ProbeSources: prefixes("::ffff:203.0.113.0/120"), TrustedProxies: prefixes("::ffff:198.51.100.7/128")})
	if !g.platform(netip.MustParseAddr("203.0.113.9")) || !prober.Contains(g.config.TrustedProxies, netip.MustParseAddr("198.51.100.7")) {
		t.Errorf("ProbeSources %v, TrustedProxies %v match no IPv4 address", g.config.ProbeSources, g.config.TrustedProxies)
	}
	if _, err := New(Config{ProbeSources: prefixes("::ffff:0.0.0.0/90")}); err == nil || !strings.Contains(err.Error(), "ProbeSources") {
		t.Errorf("a prefix that can match nothing: %v", err)
	}
}

// New does not change the caller's Config, and keeps no slice of it that could change
// later.
func TestConfigIsTheCallers(t *testing.T) {
	c := Config{
		ProbePaths:     []string{"/ws", "/"},
		ProbeSources:   []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
	}
	before := c
	paths, sources, proxies := slices.Clone(c.ProbePaths), slices.Clone(c.ProbeSources), slices.Clone(c.TrustedProxies)
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c, before) || !slices.Equal(c.ProbePaths, paths) || !slices.Equal(c.ProbeSources, sources) || !slices.Equal(c.TrustedProxies, proxies) {
		t.Errorf("New changed its argument to %+v", c)
	}
	everybody := netip.MustParsePrefix("0.0.0.0/0")
	c.ProbePaths[0], c.ProbeSources[0], c.TrustedProxies[0] = "/admin", everybody, everybody
	stranger := netip.MustParseAddr("203.0.113.9")
	if g.paths.rule(0, "/admin") != nil || g.paths.rule(0, "/ws") == nil || g.platform(stranger) || prober.Contains(g.config.TrustedProxies, stranger) {
		t.Error("a change that the caller makes to its slices after New changes which proxies the guard trusts")
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}
