package topics_test

import (
	"errors"
	"testing"

	"github.com/hubwire/hubwire/topics"
)

// checkSyntaxError fails t unless err is a whole SyntaxError about input.
func checkSyntaxError(t *testing.T, input string, err error) {
	t.Helper()
	var se *topics.SyntaxError
	if !errors.As(err, &se) {
		t.Fatalf("%q: the error is %v, want a SyntaxError", input, err)
	}
	if se.Part == "" || se.Err == nil || se.Offset < 0 || se.Offset > len(input) {
		t.Fatalf("%q: the error does not say what and where: %#v", input, se)
	}
}
