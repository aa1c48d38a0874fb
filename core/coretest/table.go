package coretest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// notes are the reasons of a table, numbered in order of use.
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

// cell is the entry of r for f: "✓" if it holds unchanged on some layer and port, and the
// outcomes of the others.
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

// cells are the entries of one row.
func (n *notes) cells(fs []Framework, r row) string {
	all := make([]string, len(fs))
	for i, f := range fs {
		all[i] = n.cell(f, r)
	}
	return strings.Join(all, " | ")
}

// head is the header of a table in Markdown.
func head(first []string, fs []Framework) string {
	titles := slices.Clone(first)
	for _, f := range fs {
		titles = append(titles, f.Name)
	}
	return "| " + strings.Join(titles, " | ") + " |\n" + strings.Repeat("|---", len(titles)) + "|\n"
}

// table returns, in Markdown, the rows that do not hold unchanged on all of fs, and the
// reasons. Rows with the same entries share a line.
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

// joined is a list of names of rows that gives each group once.
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

// rules returns, in Markdown, every row with its rule and its entries for fs, and the
// reasons.
func rules(fs ...Framework) string {
	var b strings.Builder
	var n notes
	b.WriteString(head([]string{"row", "rule"}, fs))
	for _, r := range rows() {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.name, r.rule, n.cells(fs, r))
	}
	return b.String() + "\n" + n.String()
}
