package core

import (
	"go/doc"
	"go/doc/comment"
	"regexp"
	"testing"
)

// bracketed is a doc link that did not resolve: the parser leaves it in the text.
var bracketed = regexp.MustCompile(`\[\*?([a-z]+\.)?[A-Z]\w*(\.[A-Z]\w*)?\]`)

// unresolved returns the doc links in a doc comment of p that name nothing.
func unresolved(p *doc.Package, text string) (links []string) {
	inText := func(all []comment.Text) {
		for _, t := range all {
			switch t := t.(type) {
			case comment.Plain:
				links = append(links, bracketed.FindAllString(string(t), -1)...)
			case comment.Italic:
				links = append(links, bracketed.FindAllString(string(t), -1)...)
			}
		}
	}
	var inBlocks func(all []comment.Block)
	inBlocks = func(all []comment.Block) {
		for _, b := range all {
			switch b := b.(type) {
			case *comment.Paragraph:
				inText(b.Text)
			case *comment.Heading:
				inText(b.Text)
			case *comment.List:
				for _, item := range b.Items {
					inBlocks(item.Content)
				}
			}
		}
	}
	inBlocks(p.Parser().Parse(text).Content)
	return links
}

// Every doc link of an exported name and of a package comment resolves.
func TestDocLinksResolve(t *testing.T) {
	for _, path := range append([]string{"core/event", "core/kit"}, documented...) {
		p := documentation(t, path)
		check := func(name, text string) {
			for _, link := range unresolved(p, text) {
				t.Errorf("%s: %s links to %s, which does not exist", path, name, link)
			}
		}
		values := func(all []*doc.Value) {
			for _, v := range all {
				check(v.Names[0], v.Doc)
			}
		}
		funcs := func(of string, all []*doc.Func) {
			for _, f := range all {
				check(of+f.Name, f.Doc)
			}
		}
		check("the package", p.Doc)
		values(p.Consts)
		values(p.Vars)
		funcs("", p.Funcs)
		for _, typ := range p.Types {
			check(typ.Name, typ.Doc)
			values(typ.Consts)
			values(typ.Vars)
			funcs("", typ.Funcs)
			funcs(typ.Name+".", typ.Methods)
		}
	}
}
