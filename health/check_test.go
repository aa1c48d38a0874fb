package health

import (
	"strings"
	"testing"
	"time"
)

func TestCheckIsRefused(t *testing.T) {
	good := Check{Name: "db", Func: passes}
	for _, row := range []struct {
		rule string
		edit func(*Check)
		want string
	}{
		{"a check has a name", func(k *Check) { k.Name = "" }, "Name"},
		{"a name fits into a URL", func(k *Check) { k.Name = "a&b" }, "Name"},
		{"a name fits into a log line", func(k *Check) { k.Name = "a b" }, "Name"},
		{"a name is short", func(k *Check) { k.Name = strings.Repeat("a", 65) }, "Name"},
		{"a check has a function", func(k *Check) { k.Func = nil }, "Func"},
		{"a kind is one of three", func(k *Check) { k.Kind = 8 }, "Kind"},
		{"no negative interval", func(k *Check) { k.Interval = -1 }, "Interval"},
		{"no busy loop", func(k *Check) { k.Interval = time.Microsecond }, "Interval"},
		{"no interval that overflows", func(k *Check) { k.Interval = 1 << 62 }, "Interval"},
		{"no negative timeout", func(k *Check) { k.Timeout = -1 }, "Timeout"},
		{"no negative delay", func(k *Check) { k.Delay = -1 }, "Delay"},
		{"no negative threshold for failures", func(k *Check) { k.FailAfter = -1 }, "FailAfter"},
		{"no negative threshold for passes", func(k *Check) { k.PassAfter = -1 }, "PassAfter"},
		{"no threshold that is never reached", func(k *Check) { k.PassAfter = 1001 }, "PassAfter"},
		{"no negative age", func(k *Check) { k.MaxAge = -1 }, "MaxAge"},
		{"a good result is not stale before the next", func(k *Check) { k.MaxAge = 11 * time.Second }, "MaxAge"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			k := good
			row.edit(&k)
			_, err := k.withDefaults()
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error is %v, want one about %s", err, row.want)
			}
		})
	}
}

func TestCheckSaysAllThatIsWrong(t *testing.T) {
	_, err := Check{Timeout: -1, FailAfter: -1}.withDefaults()
	for _, want := range []string{"Name", "Func", "Timeout", "FailAfter"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %s in it", err, want)
		}
	}
}

func TestCheckDefaults(t *testing.T) {
	k, err := Check{Name: "a.b-C_9:/x", Func: passes}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if k.Kind != Ready || k.Interval != 10*time.Second || k.Timeout != 2*time.Second ||
		k.FailAfter != 1 || k.PassAfter != 1 || k.Delay != 0 || k.MaxAge != 22*time.Second {
		t.Errorf("the defaults are %+v", k)
	}
	k, err = Check{Name: "db", Func: passes, FailAfter: 3, Interval: time.Minute, Timeout: time.Second}.withDefaults()
	if err != nil || k.MaxAge != 4*time.Minute+time.Second {
		t.Errorf("MaxAge is %v (%v), want the time of three failures", k.MaxAge, err)
	}
}

func TestKindString(t *testing.T) {
	for kind, want := range map[Kind]string{0: "", Ready: "ready", Live: "live", Ready | Startup: "ready|startup", 8 | Live: "live|8"} {
		if got := kind.String(); got != want {
			t.Errorf("Kind %d is %q, want %q", kind, got, want)
		}
	}
}
