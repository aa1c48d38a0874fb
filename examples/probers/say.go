package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
)

// said is what the part that runs has printed.
var said struct {
	sync.Mutex
	strings.Builder
}

// say prints what README.md may have, too.
func say(format string, values ...any) {
	said.Lock()
	defer said.Unlock()
	text := fmt.Sprintf(format, values...)
	fmt.Print(text)
	said.WriteString(text)
}

// heard returns what was said since it was called last.
func heard() string {
	said.Lock()
	defer said.Unlock()
	text := said.String()
	said.Reset()
	return text
}

// writeReadme puts what a part has said between its marks in README.md: a table
// as it is, anything else as it looked.
func writeReadme(part, text string) error {
	if !strings.Contains(text, "|---|") {
		text = "```\n" + text + "```\n"
	}
	return writeBetween("README.md", "<!-- begin: go run . -readme "+part+" -->\n", text)
}

// end is the mark after it.
const end = "<!-- end -->\n"

// writeBetween puts text between the mark begin of a file and the next end.
func writeBetween(file, begin, text string) error {
	whole, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(whole), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return fmt.Errorf("%s has no %s", file, strings.TrimSpace(begin))
	}
	return os.WriteFile(file, []byte(before+begin+"\n"+text+"\n"+end+after), 0o644)
}
