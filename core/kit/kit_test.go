package kit

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/quietws/quietws/core"
)

// A server that prints with a format keeps its lines, except those about
// connections.
func TestQuietPrinter(t *testing.T) {
	var got printed
	p := QuietPrinter(&got, "error when serving")
	p.Printf("error when serving connection %q", "s3cr3t")
	p.Printf("the app's %d", 1)
	if len(got) != 1 || got[0] != "the app's 1" {
		t.Errorf("printed %q", got)
	}
	if QuietPrinter(nil, "x") != nil {
		t.Error("a nil logger became one that is not nil")
	}
}

func TestOnlyUpgrade(t *testing.T) {
	for list, want := range map[string]string{
		"close": "close", "keep-alive, close": "keep-alive, close", "": "",
		"Upgrade, close": "Upgrade", "close, upgrade": "Upgrade", "Upgraded, close": "Upgraded, close",
	} {
		if got := onlyUpgrade(list); got != want {
			t.Errorf("%q: %q, want %q", list, got, want)
		}
	}
}

// The lines of a field are one list, in any letter case of its name.
func TestJoinField(t *testing.T) {
	lines := [][2]string{{"Host", "h"}, {"connection", "keep-alive"}, {"Connection", "Upgrade"}}
	visit := func(f func(name, value []byte)) {
		buf := make([]byte, 32) // reused, as servers do
		for _, l := range lines {
			f([]byte(l[0]), buf[:copy(buf, l[1])])
		}
	}
	for name, want := range map[string]string{"Connection": "keep-alive, Upgrade", "Host": "h", "Upgrade": ""} {
		if got := joinField(name, visit); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// printed is what a Printer has printed.
type printed []string

func (p *printed) Printf(format string, args ...any) { *p = append(*p, fmt.Sprintf(format, args...)) }

// A list has all that is allowed; an empty one allows only pages of the same host.
func TestOnlyOrigins(t *testing.T) {
	for _, row := range []struct {
		list []string
		want core.Origins
	}{
		{nil, core.Origins{}},
		{[]string{"*"}, core.Origins{Patterns: []string{"*"}, Only: true, Any: true}},
		{[]string{"https://a.example"}, core.Origins{Patterns: []string{"https://a.example"}, Only: true}},
	} {
		if got := OnlyOrigins(row.list); !reflect.DeepEqual(*got, row.want) {
			t.Errorf("%q: %+v, want %+v", row.list, *got, row.want)
		}
	}
}
