package journal

import "github.com/quietws/quietws/core/event"

// maxOnce limits an onceTable. There is room for every prober of the table in each class
// that it can have.
const maxOnce = 512

// A pair is a class and the prober that it was seen with, "" for none.
type pair struct {
	class  event.Class
	prober string
}

func (p pair) word() string {
	if p.prober == "" {
		return "unknown"
	}
	return Word(p.prober)
}

// An onceTable remembers the pairs whose first probe was logged.
type onceTable map[pair]struct{}

// first reports whether this pair is new. If the table is full it is not: the pair is
// not logged, but counted in the summaries.
func (t *onceTable) first(c event.Class, prober string) bool {
	p := pair{c, prober}
	if _, known := (*t)[p]; known || len(*t) >= maxOnce {
		return false
	}
	if *t == nil {
		*t = make(onceTable)
	}
	(*t)[p] = struct{}{}
	return true
}
