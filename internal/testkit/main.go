package testkit

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// Main runs the tests of a package and ends the process as they did, or with a
// failure when they all passed and left goroutines behind, whose stacks it then
// shows. It is what TestMain calls in each package whose code starts goroutines.
func Main(m *testing.M) {
	before := Running()
	code := m.Run()
	if left := Leftovers(before); code == 0 && len(left) > 0 {
		fmt.Fprintf(os.Stderr, "testkit: %d goroutines are left after all tests:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
		code = 1
	}
	os.Exit(code)
}
