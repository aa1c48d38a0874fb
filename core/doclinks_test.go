package core

import (
	"go/ast"
	"go/doc"
	"go/doc/comment"
	"regexp"
	"slices"
	"strings"
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
	return slices.DeleteFunc(links, func(link string) bool { return isField(p, strings.Trim(link, "[*]")) })
}

// isField reports whether name, as "Type.Field", is a field of a struct of p. Links to
// fields resolve since Go 1.26 only.
func isField(p *doc.Package, name string) bool {
	of, field, _ := strings.Cut(name, ".")
	i := slices.IndexFunc(p.Types, func(t *doc.Type) bool { return t.Name == of })
	if i < 0 {
		return false
	}
	for _, spec := range p.Types[i].Decl.Specs {
		s, ok := spec.(*ast.TypeSpec).Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, f := range s.Fields.List {
			if slices.ContainsFunc(f.Names, func(n *ast.Ident) bool { return n.Name == field }) {
				return true
			}
		}
	}
	return false
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
