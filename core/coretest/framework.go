package coretest

import (
	"log/slog"
	"slices"
	"strings"

	"github.com/quietws/quietws/core/event"
)

// Framework is what the suite is told of a framework, its server and the
// libraries on it: what they cannot do or know. The zero Framework can do
// everything.
type Framework struct {
	// Name is how it is called in the table.
	Name string
	// Limits are its limits. The first that applies counts.
	Limits []Limit
}

// Limit is a row, or several, that cannot hold on a framework as they stand.
type Limit struct {
	// Rows are their names. One that ends in "*" stands for all that begin so.
	Rows []string
	// Needs selects every row that needs one of these, in place of names.
	Needs Need
	// Layers are those on which it is so. None: on all.
	Layers []Layer
	// Outcome is what the table says.
	Outcome Outcome
	// Reason says why, for the user.
	Reason string
	// Instead says what the row expects there in place of what it expects
	// elsewhere, which it gets. Nil: the row is not run there. A row that
	// expects more than one Want cannot have it, and Run says so.
	Instead func(Want) Want

	ports  port            // 0: both
	newer  func(Want) Want // and where the server answers as newer versions do; nil: the same
	answer int             // what that is; 0: what the row says
	runs   bool            // the row asks env.limit by itself what holds then
}

// Want is what a row expects of each connection that it opens.
type Want struct {
	Class  event.Class
	Reason event.Reason
	Logged Logging
	Level  slog.Level // of the line, with LogWhole
	Status int        // what the guard knows that the peer was answered
	Answer int        // what the peer was answered, where the guard cannot know it; 0: Status

	prober   string
	proxy    string // whose traces are named
	compared bool   // the line says which Origin was compared with which Host
	end      string // of a session; "": anything, where only the library knows
	orEnd    string // or this, where both are right
	code     int
	access   string // status in the framework's access log; "": at most a line each, none: no line
}

// Logging is how often a [Want] is logged.
type Logging uint8

const (
	LogNothing Logging = iota // counted, and no line at Info or above
	LogOnce                   // one line at Info, however often it comes
	LogWhole                  // the first at once and whole, all repeats in one line
)

// Outcome is what is said of a row that a [Limit] is about.
type Outcome uint8

const (
	// NotApplicable: there is no such thing on the framework.
	NotApplicable Outcome = iota
	// Unknown: nobody can know it there.
	Unknown
	// Differs: the rule is kept, and something beside it is otherwise.
	Differs
)

// String returns "n.a.", "unknown" or "differs".
func (o Outcome) String() string { return [...]string{"n.a.", "unknown", "differs"}[o] }

// Need is something that a row needs and not every framework has.
type Need uint8

const (
	// HTTP2: the server negotiates HTTP/2 under TLS.
	HTTP2 Need = 1 << iota
	// ErrorHandler: the framework turns returned errors into answers by a
	// handler that users replace; see [App.ErrorHandler].
	ErrorHandler
	// EndOfSession: sessions of the application's own library are followed to
	// their end.
	EndOfSession
	// ConnContext: the server has a hook of that name.
	ConnContext
	// WhyUnread: why the server could not read a request is known.
	WhyUnread
)

// lacks reports whether there is nothing of what n names, on any layer.
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
				wrong = append(wrong, "a limit of a row that is not there: "+name)
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
