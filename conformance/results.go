package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

const module = "github.com/hubwire/hubwire"

// outcome is what became of a test.
type outcome uint8

const (
	unfinished outcome = iota // it began, and the results do not tell its end
	skipped
	passed
	failed
)

func (o outcome) String() string {
	return [...]string{"did not end", "was skipped", "passed", "failed"}[o]
}

// results are those of tests, by their names as in the table, and those of packages by
// theirs. Where there are several of one, a failure counts most, then that it passed: a
// test may be skipped in one run and not in another.
type results struct {
	tests, packages map[string]outcome
	output          map[string]*strings.Builder // of what is not over, or failed
}

func newResults() *results {
	return &results{map[string]outcome{}, map[string]outcome{}, map[string]*strings.Builder{}}
}

// event is a line of `go test -json` (test2json).
type event struct {
	Action, Package, Test, Output string
	ImportPath                    string // of a package that does not build
}

// readFiles reads all that is in some files.
func readFiles(files []string) (*results, error) {
	if len(files) == 0 {
		return nil, errors.New("which files are the results in?")
	}
	all := newResults()
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		err = all.read(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return all, nil
}

// read adds one run.
func (r *results) read(in io.Reader) error {
	run := newResults()
	run.output = r.output
	s := bufio.NewScanner(in)
	s.Buffer(nil, 16<<20)
	for n := 1; s.Scan(); n++ {
		var e event
		if err := json.Unmarshal(s.Bytes(), &e); err != nil {
			return fmt.Errorf("line %d is not of go test -json: %w", n, err)
		}
		run.add(e)
	}
	if err := s.Err(); err != nil {
		return err
	}
	if len(run.packages) == 0 {
		return errors.New("there are no results")
	}
	merge(r.tests, run.tests)
	merge(r.packages, run.packages)
	return nil
}

func (r *results) add(e event) {
	of, name := r.tests, short(e.Package)
	switch {
	case e.ImportPath != "": // of the build, which the package's own end follows
		of, name = nil, short(strings.Fields(e.ImportPath)[0])
	case e.Test == "":
		of = r.packages
	default:
		name += "." + e.Test
	}
	switch e.Action {
	case "start", "run":
		of[name] = max(of[name], unfinished)
	case "pass":
		of[name] = max(of[name], passed)
		delete(r.output, name)
	case "skip":
		of[name] = max(of[name], skipped)
		delete(r.output, name)
	case "fail":
		of[name] = failed
	case "output", "build-output":
		if r.output[name] == nil {
			r.output[name] = new(strings.Builder)
		}
		r.output[name].WriteString(e.Output)
	}
}

// merge adds the outcomes of another run. What did not end has failed.
func merge(all, run map[string]outcome) {
	for name, o := range run {
		if o == unfinished {
			o = failed
		}
		all[name] = max(all[name], o)
	}
}

// short is a package's path without the module.
func short(pkg string) string {
	if pkg == module {
		return "."
	}
	return strings.TrimPrefix(pkg, module+"/")
}

// of looks a test up by its name in the table.
func (r *results) of(test string) (outcome, bool) {
	o, ok := r.tests[strings.ReplaceAll(test, " ", "_")]
	return o, ok
}

// count prints how many tests of each package came to what, and the output of those that
// failed. It reports whether all is well.
func (r *results) count(w io.Writer) bool {
	tally := map[string]*[4]int{}
	for name, o := range r.tests {
		pkg, _, _ := cutTest(name)
		if tally[pkg] == nil {
			tally[pkg] = new([4]int)
		}
		tally[pkg][o]++
	}
	well := true
	for _, pkg := range slices.Sorted(maps.Keys(r.packages)) {
		n, end := tally[pkg], ""
		if n == nil {
			n = new([4]int)
		}
		if r.packages[pkg] == failed {
			well, end = false, ": FAILED"
		}
		if *n == [4]int{} && end == "" {
			continue // it has no tests
		}
		fmt.Fprintf(w, "%s: %d passed, %d failed, %d skipped%s\n", pkg, n[passed], n[failed], n[skipped], end)
	}
	if well {
		return true
	}
	for _, name := range slices.Sorted(maps.Keys(r.output)) {
		if o, test := r.tests[name]; test && o == failed || !test && r.packages[name] == failed {
			fmt.Fprintf(w, "\n%s\n%s", name, r.output[name])
		}
	}
	return false
}

// cutTest cuts the name of a test in its package and the rest, which has the function's
// name before the first slash.
func cutTest(name string) (pkg, function string, ok bool) {
	pkg, rest, ok := strings.Cut(name, ".Test")
	function, _, _ = strings.Cut("Test"+rest, "/")
	return pkg, function, ok
}
