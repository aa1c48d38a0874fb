// Package readme tests the two READMEs: what they show compiles, what they name and
// link to exists, and they say the same.
package readme

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
)

// root is the root of the repository.
const root = "../.."

var languages = []string{"README.md", "README.zh-CN.md"}

// document is the parts of a Markdown page.
type document struct {
	name    string
	blocks  []codeBlock
	spans   []string // inline code
	links   []string
	anchors map[string]bool // GitHub's names of its headings
	shape   []string        // headings, blocks and tables, in their order
}

type codeBlock struct{ language, text string }

func read(t *testing.T, name string) *document {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	d := &document{name: name, anchors: make(map[string]bool)}
	tree := goldmark.New(goldmark.WithExtensions(extension.Table)).Parser().Parse(text.NewReader(source))
	err = ast.Walk(tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			d.add(n, source)
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *document) add(n ast.Node, source []byte) {
	switch n := n.(type) {
	case *ast.FencedCodeBlock:
		b := codeBlock{string(n.Language(source)), string(n.Lines().Value(source))}
		d.blocks = append(d.blocks, b)
		d.shape = append(d.shape, "block of "+b.language)
	case *ast.CodeSpan:
		d.spans = append(d.spans, plain(n, source))
	case *ast.Link:
		d.links = append(d.links, string(n.Destination))
	case *ast.AutoLink:
		d.links = append(d.links, string(n.URL(source)))
	case *ast.Heading:
		d.anchors[anchor(plain(n, source))] = true
		d.shape = append(d.shape, strings.Repeat("#", n.Level))
	case *east.Table:
		d.shape = append(d.shape, strings.Repeat("|", len(n.Alignments)))
	case *east.TableRow:
		d.shape = append(d.shape, "row")
	case *ast.ListItem:
		d.shape = append(d.shape, "item")
	}
}

// plain returns the text of n without markup.
func plain(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := n.(*ast.Text); ok && entering {
			b.Write(t.Segment.Value(source))
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

// anchor returns GitHub's name of a heading: letters, digits, hyphens and underscores,
// in lower case, with a hyphen for each space.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}
