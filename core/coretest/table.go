package coretest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// notes are the reasons of a table, numbered as they come.
type notes struct{ reasons []string }

func (n *notes) mark(reason string) string {
	i := slices.Index(n.reasons, reason)
	if i < 0 {
		i = len(n.reasons)
		n.reasons = append(n.reasons, reason)
	}
	digits := []rune("⁰¹²³⁴⁵⁶⁷⁸⁹")
	mark := ""
	for _, d := range strconv.Itoa(i + 1) {
		mark += string(digits[d-'0'])
	}
	return mark
}

func (n *notes) String() string {
	var b strings.Builder
	for i, reason := range n.reasons {
		fmt.Fprintf(&b, "%d. %s.\n", i+1, reason)
	}
	return b.String()
}

// cell says how r fares on f: "✓" where it holds as it stands on some layer and
// port, and what is said of the others.
func (n *notes) cell(f Framework, r row) string {
	holds := false
	var said [3][]string // by outcome
	r.variants(func(layer Layer, p port) {
		l := f.limit(r, layer, p)
		if l == nil || l.Outcome == Differs {
			holds = true
		}
		if l != nil {
			if mark := n.mark(l.Reason); !slices.Contains(said[l.Outcome], mark) {
				said[l.Outcome] = append(said[l.Outcome], mark)
			}
		}
	})
	var parts []string
	if holds {
		parts = append(parts, strings.Join(append([]string{"✓"}, said[Differs]...), " "))
	}
	for _, o := range []Outcome{NotApplicable, Unknown} {
		if len(said[o]) > 0 {
			parts = append(parts, o.String()+" "+strings.Join(said[o], " "))
		}
	}
	return strings.Join(parts, ", ")
}

// cells are those of one row.
func (n *notes) cells(fs []Framework, r row) string {
	all := make([]string, len(fs))
	for i, f := range fs {
		all[i] = n.cell(f, r)
	}
	return strings.Join(all, " | ")
}

// head is the head of a table in Markdown.
func head(first []string, fs []Framework) string {
	titles := slices.Clone(first)
	for _, f := range fs {
		titles = append(titles, f.Name)
	}
	return "| " + strings.Join(titles, " | ") + " |\n" + strings.Repeat("|---", len(titles)) + "|\n"
}

// Table returns, in Markdown, the rows that do not hold as they stand on every
// one of fs, those that fare alike in one line, and the reasons.
func table(fs ...Framework) string {
	type line struct {
		names []string
		cells string
	}
	var lines []*line
	var n notes
	same := strings.Join(slices.Repeat([]string{"✓"}, len(fs)), " | ")
	for _, r := range rows() {
		cells := n.cells(fs, r)
		if cells == same {
			continue
		}
		i := slices.IndexFunc(lines, func(l *line) bool { return l.cells == cells })
		if i < 0 {
			i = len(lines)
			lines = append(lines, &line{cells: cells})
		}
		lines[i].names = append(lines[i].names, r.name)
	}
	var b strings.Builder
	b.WriteString(head([]string{"rows"}, fs))
	for _, l := range lines {
		fmt.Fprintf(&b, "| %s | %s |\n", joined(l.names), l.cells)
	}
	return b.String() + "\n" + n.String()
}

// joined is a list of names of rows, with what they have in common said once.
func joined(names []string) string {
	var out []string
	last := ""
	for _, name := range names {
		group, rest, _ := strings.Cut(name, "/")
		if group == last {
			name = rest
		}
		last = group
		out = append(out, name)
	}
	return strings.Join(out, "; ")
}

// Rules returns, in Markdown, every row with its rule, how it fares on fs, and
// the reasons.
func rules(fs ...Framework) string {
	var b strings.Builder
	var n notes
	b.WriteString(head([]string{"row", "rule"}, fs))
	for _, r := range rows() {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.name, r.rule, n.cells(fs, r))
	}
	return b.String() + "\n" + n.String()
}
