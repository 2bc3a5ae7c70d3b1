package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
)

var testFunction = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

// sources finds the files of all tests that the tables name, under the module's root. A test
// that is in none is an error.
func sources(root string, tables []*table) (in files, wrong []error) {
	in = files{}
	looked := map[string]bool{}
	for test, cited := range citations(tables) {
		pkg, function, ok := cutTest(test)
		if !ok {
			wrong = append(wrong, fmt.Errorf("%s: %q is not the name of a test", cited, test))
			continue
		}
		if !looked[pkg] {
			looked[pkg] = true
			if err := in.look(root, pkg); err != nil {
				wrong = append(wrong, err)
			}
		}
		if in[pkg+"."+function] == "" {
			wrong = append(wrong, fmt.Errorf("%s: package %s has no test function %s", cited, pkg, function))
		}
	}
	return in, wrong
}

// citations yields each test that tables name, with the row that does.
func citations(tables []*table) func(yield func(test, id string) bool) {
	return func(yield func(test, id string) bool) {
		for _, t := range tables {
			for _, r := range t.rows {
				for _, c := range r.claims {
					for _, test := range c.tests {
						if !yield(test, r.id) {
							return
						}
					}
				}
			}
		}
	}
}

// look adds the test functions of a package.
func (f files) look(root, pkg string) error {
	names, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pkg), "*_test.go"))
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, m := range testFunction.FindAllSubmatch(text, -1) {
			f[pkg+"."+string(m[1])] = path.Join(pkg, filepath.Base(name))
		}
	}
	return nil
}
