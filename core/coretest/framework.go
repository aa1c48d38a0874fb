package coretest

import (
	"log/slog"
	"slices"
	"strings"

	"github.com/quietws/quietws/core/event"
)

// Framework has the limits of a framework, its server and its libraries: what they cannot
// do or know. The zero Framework has none.
type Framework struct {
	// Name is its name in the table.
	Name string
	// Limits are its limits. The first that applies counts.
	Limits []Limit
}

// Limit says that one or more rows cannot hold on a framework unchanged.
type Limit struct {
	// Rows are their names. A name that ends in "*" matches all names with that prefix.
	Rows []string
	// Needs selects every row that needs one of these, instead of names.
	Needs Need
	// Layers are the layers with this limit. None: all.
	Layers []Layer
	// Outcome is the entry in the table.
	Outcome Outcome
	// Reason says why, for the user.
	Reason string
	// Instead gets what the row expects elsewhere and returns what it expects here. Nil:
	// the row is not run here. It does not work for a row that expects more than one
	// Want; Run then fails.
	Instead func(Want) Want

	ports  port            // 0: both
	newer  func(Want) Want // the same for newer versions of the server, known by their answer; nil: Instead
	answer int             // of the newer versions; 0: that of the row
	runs   bool            // the row runs and looks at env.limit itself
}

// Want is what a row expects of each connection that it opens.
type Want struct {
	Class  event.Class
	Reason event.Reason
	Logged Logging
	Level  slog.Level // of the line, with LogFull
	Status int        // of the answer, as the guard knows it
	Answer int        // of the answer, where the guard cannot know it; 0: Status

	prober   string
	proxy    string // the proxy that the line names
	compared bool   // the line has the compared Origin and Host
	end      string // of a session; "": any, where only the library knows
	orEnd    string // another correct end
	code     int
	access   string // status in the framework's access log; "": at most one line each; none: no line
}

// Logging is how often a [Want] is logged.
type Logging uint8

const (
	LogNothing Logging = iota // counted, and no line at Info or above
	LogOnce                   // one line at Info, however often it comes
	LogFull                   // the first at once and in full, all repeats in one line
)

// Outcome is the entry in the table for a row with a [Limit].
type Outcome uint8

const (
	// NotApplicable: the framework has no such thing.
	NotApplicable Outcome = iota
	// Unknown: it cannot be known there.
	Unknown
	// Differs: the rule holds, but a detail is different.
	Differs
)

// String returns "n.a.", "unknown" or "differs".
func (o Outcome) String() string { return [...]string{"n.a.", "unknown", "differs"}[o] }

// Need is a feature that a row needs and that not every framework has.
type Need uint8

const (
	// HTTP2: the server negotiates HTTP/2 under TLS.
	HTTP2 Need = 1 << iota
	// ErrorHandler: the framework turns returned errors into answers by a
	// handler that users replace; see [App.ErrorHandler].
	ErrorHandler
	// EndOfSession: the guard sees the end of sessions of the application's own
	// library.
	EndOfSession
	// ConnContext: the server has a hook of that name.
	ConnContext
	// WhyUnread: why the server could not read a request is known.
	WhyUnread
)

// lacks reports whether the framework lacks n on every layer.
func (f Framework) lacks(n Need) bool {
	return slices.ContainsFunc(f.Limits, func(l Limit) bool { return l.Needs&n != 0 && len(l.Layers) == 0 && l.ports == 0 })
}

// limit returns the limit for r on layer and p, nil if there is none.
func (f Framework) limit(r row, layer Layer, p port) *Limit {
	for i := range f.Limits {
		l := &f.Limits[i]
		if l.about(r) && (len(l.Layers) == 0 || slices.Contains(l.Layers, layer)) && (l.ports == 0 || l.ports&p != 0) {
			return l
		}
	}
	return nil
}

func (l *Limit) about(r row) bool {
	return l.Needs&r.needs != 0 || slices.ContainsFunc(l.Rows, func(name string) bool {
		prefix, all := strings.CutSuffix(name, "*")
		return name == r.name || all && strings.HasPrefix(r.name, prefix)
	})
}

// skips reports whether the row is not run.
func (l *Limit) skips() bool { return l != nil && l.Instead == nil && !l.runs }

// checked returns what is wrong with the limits of f.
func (f Framework) checked() (wrong []string) {
	all := rows()
	for _, l := range f.Limits {
		if l.Reason == "" {
			wrong = append(wrong, "a limit without a reason: "+strings.Join(l.Rows, "; "))
		}
		if len(l.Rows) == 0 && l.Needs == 0 {
			wrong = append(wrong, "a limit of no row: "+l.Reason)
		}
		for _, name := range l.Rows {
			if one := (&Limit{Rows: []string{name}}); !slices.ContainsFunc(all, one.about) {
				wrong = append(wrong, "a limit of an unknown row: "+name)
			}
		}
		for _, r := range all {
			if l.Instead != nil && r.fact == nil && !r.asks && l.about(r) {
				wrong = append(wrong, "Instead for a row that expects more than one Want: "+r.name)
			}
		}
	}
	return wrong
}
