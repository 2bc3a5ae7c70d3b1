// Count tells what `go test -json` says of the judges: the words of what failed, and one
// count a suite, which is who judges. With -v it names each check, too.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// suites are the judges, by how the names of their tests begin: the first that fits.
var suites = []struct{ test, name string }{
	{"TestNpm", "npm, at both ends of hubwire hub"},
	{"TestProgram", "npm, at both ends of hubwire hub"},
	{"TestNode", "npm, at a hub that is looked into"},
	{"TestOffice", "npm, at a hub that is looked into"},
	{"TestReader", "npm, at a hub that is looked into"},
	{"TestRhea", "rhea"},
	{"TestGoAMQP", "go-amqp"},
	{"TestConsumer", "azeventhubs"},
	{"TestProcessor", "azeventhubs"},
	{"TestUAMQP", "uAMQP"},
	{"TestAzurite", "Azurite"},
	{"TestStranger", "the Mosquitto broker"},
	{"TestMosquitto", "mosquitto's clients"},
	{"", "others"},
}

// event is a line of test2json.
type event struct {
	Action  string
	Test    string
	Output  string
	Elapsed float64
}

// score counts the checks of a suite: the tests that have no tests of their own.
type score struct{ passed, failed, skipped int }

// board is what is known so far.
type board struct {
	out     io.Writer
	verbose bool
	words   map[string][]string // of tests that run, and of the package by ""
	parents map[string]bool
	suites  map[string]*score
	failed  bool // something, which need not be a check
}

func main() {
	verbose := flag.Bool("v", false, "name each check")
	flag.Parse()
	b := &board{out: os.Stdout, verbose: *verbose, words: map[string][]string{}, parents: map[string]bool{}, suites: map[string]*score{}}
	if err := b.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "count:", err)
		os.Exit(1)
	}
	if !b.tell() {
		os.Exit(1)
	}
}

func (b *board) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				fmt.Fprintf(b.out, "%s", line) // the toolchain's own words
			} else {
				b.take(&e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (b *board) take(e *event) {
	switch e.Action {
	case "run":
		for i := strings.LastIndexByte(e.Test, '/'); i >= 0; i = strings.LastIndexByte(e.Test[:i], '/') {
			b.parents[e.Test[:i]] = true
		}
	case "output":
		b.words[e.Test] = append(b.words[e.Test], e.Output)
	case "build-output":
		fmt.Fprint(b.out, e.Output)
	case "pass", "fail", "skip":
		b.end(e)
	}
}

// end is that of a test, or without a name that of the package.
func (b *board) end(e *event) {
	if e.Action == "fail" {
		b.failed = true
		for _, w := range b.words[e.Test] {
			if !strings.HasPrefix(w, "=== ") {
				fmt.Fprint(b.out, w)
			}
		}
	}
	delete(b.words, e.Test)
	if e.Test == "" || b.parents[e.Test] {
		return
	}
	if b.verbose {
		fmt.Fprintf(b.out, "%s %s (%.1f s)\n", e.Action, strings.ReplaceAll(e.Test, "_", " "), e.Elapsed)
	}
	s := b.of(e.Test)
	switch e.Action {
	case "pass":
		s.passed++
	case "fail":
		s.failed++
	default:
		s.skipped++
	}
}

// of is the score of the suite that a test is of.
func (b *board) of(test string) *score {
	for _, suite := range suites {
		if strings.HasPrefix(test, suite.test) {
			if b.suites[suite.name] == nil {
				b.suites[suite.name] = new(score)
			}
			return b.suites[suite.name]
		}
	}
	return new(score)
}

func (s *score) String() string {
	text := fmt.Sprintf("%d passed, %d failed", s.passed, s.failed)
	if s.skipped > 0 {
		text += fmt.Sprintf(", %d skipped", s.skipped)
	}
	return text
}

// tell says the counts, and whether there were checks and all is well.
func (b *board) tell() bool {
	var total score
	told := map[string]bool{}
	for _, suite := range suites {
		s := b.suites[suite.name]
		if s == nil || told[suite.name] {
			continue
		}
		told[suite.name] = true
		fmt.Fprintf(b.out, "%s: %v\n", suite.name, s)
		total.passed += s.passed
		total.failed += s.failed
		total.skipped += s.skipped
	}
	fmt.Fprintf(b.out, "total: %v\n", &total)
	return !b.failed && total.passed > 0
}
