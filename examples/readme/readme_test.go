package readme

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Both have the same headings, lists, tables and blocks, in the same order, and the same
// code, byte for byte.
func TestLanguagesSayTheSame(t *testing.T) {
	one, other := read(t, languages[0]), read(t, languages[1])
	for i := range max(len(one.shape), len(other.shape)) {
		if i >= len(one.shape) || i >= len(other.shape) || one.shape[i] != other.shape[i] {
			t.Errorf("they differ from element %d on:\n%q\n%q", i, one.shape[max(0, i-5):min(i+3, len(one.shape))], other.shape[max(0, i-5):min(i+3, len(other.shape))])
			break
		}
	}
	for i, b := range one.blocks {
		if i < len(other.blocks) && b != other.blocks[i] && b.language != "text" { // those come from examples/before, with other ports
			t.Errorf("they differ in\n%s\n%s", b.text, other.blocks[i].text)
		}
	}
}

// pages are the pages of the repository that link to each other.
var pages = append(slices.Clone(languages), "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md",
	"core/coretest/README.md", "examples/probers/README.md", "examples/deploy/README.md", "examples/comparison/README.md")

// Links within the repository lead to something, headings too. Links out of it are
// well-formed; they are not followed.
func TestLinks(t *testing.T) {
	for _, page := range pages {
		for _, link := range read(t, page).links {
			u, err := url.Parse(link)
			switch {
			case err != nil:
				t.Errorf("%s: %v", page, err)
			case u.IsAbs():
				if u.Scheme != "https" || !strings.Contains(u.Hostname(), ".") || strings.ContainsAny(link, " \t") {
					t.Errorf("%s: %q is not the address of a page", page, link)
				}
			default:
				target := page
				if u.Path != "" {
					target = filepath.Join(filepath.Dir(page), u.Path)
				}
				if _, err := os.Stat(filepath.Join(root, target)); err != nil {
					t.Errorf("%s links to %s: %v", page, link, err)
				} else if u.Fragment != "" && !read(t, target).anchors[u.Fragment] {
					t.Errorf("%s links to %s, and %s has no such heading", page, link, target)
				}
			}
		}
	}
}

func TestAnchor(t *testing.T) {
	for heading, want := range map[string]string{
		"All classes, reasons and remedies": "all-classes-reasons-and-remedies",
		"What `Serve` gives":                "what-serve-gives",
		"所有类别、原因与补救":                        "所有类别原因与补救",
	} {
		if got := anchor(strings.ReplaceAll(heading, "`", "")); got != want {
			t.Errorf("%q: %q, want %q", heading, got, want)
		}
	}
}

// before and after are the programs whose difference README shows.
var changes = []string{
	"examples/existing/gin", "examples/existing/fiber",
	"examples/readme/migrate/healthz", "examples/readme/migrate/alexliesenfeld", "examples/readme/migrate/fiber",
}

// Each block of changes is the whole difference between two programs of the repository.
func TestChangesAreThoseOfPrograms(t *testing.T) {
	for _, language := range languages {
		var shown []string
		for _, b := range read(t, language).blocks {
			if b.language == "diff" {
				shown = append(shown, b.text)
			}
		}
		if len(shown) != len(changes) {
			t.Fatalf("%s shows %d changes, want those of %q", language, len(shown), changes)
		}
		for i, dir := range changes {
			before, after := code(t, dir, "before"), code(t, dir, "after")
			var want []string
			for _, line := range without(after, before) {
				want = append(want, "+"+line)
			}
			for _, line := range without(before, after) {
				want = append(want, "-"+line)
			}
			got := strings.Split(strings.TrimSuffix(shown[i], "\n"), "\n")
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s has for %s\n%s\nwhich differ in\n%s", language, dir, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
}

// code returns a program's lines without blank ones and the comment at its top.
func code(t *testing.T, dir, when string) (lines []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, dir, when, "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	_, program, _ := strings.Cut(string(b), "package main\n")
	for line := range strings.Lines(program) {
		if line = strings.TrimRight(line, "\n"); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// without returns what is in a but not in b.
func without(a, b []string) (rest []string) {
	b = slices.Clone(b)
	for _, line := range a {
		if i := slices.Index(b, line); i >= 0 {
			b = slices.Delete(b, i, i+1)
		} else {
			rest = append(rest, line)
		}
	}
	return rest
}
