package main

import (
	"fmt"

	"github.com/google/go-cmp/cmp"
)

// checker keeps the first difference.
type checker struct{ err error }

func (c *checker) equal(what string, got, want any) {
	if d := cmp.Diff(want, got); d != "" && c.err == nil {
		c.err = fmt.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func (c *checker) ok(what string, err error) {
	if err != nil && c.err == nil {
		c.err = fmt.Errorf("%s: %w", what, err)
	}
}
