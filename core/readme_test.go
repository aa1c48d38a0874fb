package core

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/journal"
	"github.com/quietws/quietws/core/internal/remedy"
)

// updateReadme is the environment variable that makes the test write the tables anew.
const updateReadme = "README_UPDATE"

// The table of classes in README matches the code: classes and reasons with the comments
// of class.go, levels from package journal, remedies and proxies' traces from package
// remedy.
func TestReadmeHasEveryClassReasonAndRemedy(t *testing.T) {
	for file, say := range map[string]func(string) string{
		"../README.md": func(s string) string { return s },
		"../README.zh-CN.md": func(s string) string {
			if chinese[s] == "" {
				t.Errorf("readme_chinese_test.go has no Chinese for %q", s)
			}
			return chinese[s]
		},
	} {
		const begin, end = "<!-- classes: begin -->\n", "<!-- classes: end -->\n"
		table := classesTable(t, say)
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		before, rest, ok := strings.Cut(string(b), begin)
		had, after, ends := strings.Cut(rest, end)
		switch {
		case !ok || !ends:
			t.Errorf("%s has not the marks %q and %q", file, begin, end)
		case had == table:
		case os.Getenv(updateReadme) == "":
			t.Errorf("the table in %s is not that of the code; write it with\n\t%s=1 go test ./core -run Readme", file, updateReadme)
		case !t.Failed():
			if err := os.WriteFile(file, []byte(before+begin+table+end+after), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// classesTable is the table in Markdown; say translates its words.
func classesTable(t *testing.T, say func(string) string) string {
	var b strings.Builder
	row := func(cells ...string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	code := func(word string) string { return "`" + word + "`" }
	docs := constantDocs(t)
	text := func(word string) string { // the comment in the code, or the translation of the word's meaning
		if s := say(word); s != word {
			return s
		}
		return docs[word]
	}

	row(say("class, reason"), say("logged"), say("what it was"), say("remedy, as the log has it"))
	b.WriteString(strings.Repeat("|---", 4) + "|\n")
	for _, c := range event.Classes() {
		level := ""
		if c == event.UpgradeFailed || c.Reasons() == nil {
			level = say(journal.PolicyWord(c, event.NoReason))
		}
		hint := remedy.For(c, event.NoReason, "") + remedy.ForProbe(c)
		row("**"+code(c.String())+"**", level, text(c.String()), cell(hint))
		for _, r := range c.Reasons() {
			row(code(r.String()), say(journal.PolicyWord(c, r)), text("reason "+r.String()), cell(remedy.For(c, r, "")))
			if r == event.ReasonUpgradeStripped {
				for v := remedy.NoProxy + 1; v.String() != ""; v++ {
					row(code(r.String())+", "+say("proxy")+" "+code(v.String()), say(journal.PolicyWord(c, r)), traces(v, say), cell(v.Remedy()))
				}
			}
		}
		if c == event.ProbeFailing {
			for _, p := range Probers() {
				if where := remedy.PathOf(p); where != "" {
					row(say("prober")+" "+code(p), level, "", cell(where))
				}
			}
		}
	}
	return b.String()
}

// traces are those by which a proxy is recognized.
func traces(who remedy.Proxy, say func(string) string) string {
	var all []string
	for _, f := range who.Traces() {
		switch {
		case f.Without != "":
			all = append(all, fmt.Sprintf("`%s` %s `%s`", f.Field, say("without"), f.Without))
		case f.Field != "":
			all = append(all, "`"+f.Field+"`")
		default:
			all = append(all, "Via `"+f.Via+"`")
		}
	}
	return strings.Join(all, ", ")
}

// cell is text for a cell of a table.
func cell(s string) string {
	s = strings.ReplaceAll(s, "|", `\|`)
	parts := strings.Split(s, "`")
	for i := range parts {
		if i%2 == 0 { // not between backquotes
			parts[i] = strings.NewReplacer("<", "&lt;", "*", `\*`).Replace(parts[i])
		}
	}
	return strings.Join(parts, "`")
}

// constantDocs are the comments on the constants in event/class.go, by the word of a
// class, or by "reason " and the word of a reason.
func constantDocs(t *testing.T) map[string]string {
	file, err := parser.ParseFile(token.NewFileSet(), "event/class.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	docs := make(map[string]string)
	for _, d := range file.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok || decl.Tok != token.CONST {
			continue
		}
		for i, s := range decl.Specs { // each is the iota of its place
			spec := s.(*ast.ValueSpec)
			name := spec.Names[0].Name
			if strings.HasPrefix(name, "Reason") {
				docs["reason "+event.Reason(i).String()] = oneLine(spec.Comment.Text())
			} else if c := event.Class(i); i < classCount && spec.Doc != nil {
				docs[c.String()] = oneLine(strings.TrimPrefix(spec.Doc.Text(), name+": "))
			}
		}
	}
	return docs
}

func oneLine(s string) string {
	return strings.NewReplacer("[", "", "]", "").Replace(strings.Join(strings.Fields(s), " "))
}
