package testkit

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// Codes returns the names of the error codes that the service publishes, by their numbers, from
// the file at path: testdata/codes.txt of the module's root.
func Codes[C ~int](t testing.TB, path string) map[C]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("testkit: codes: %v", err)
	}
	names := map[C]string{}
	for line := range strings.Lines(string(text)) {
		number, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		if number == "#" {
			continue
		}
		n, err := strconv.Atoi(number)
		if err != nil || name == "" {
			t.Fatalf("testkit: codes: %q", line)
		}
		names[C(n)] = name
	}
	if len(names) < 100 {
		t.Fatalf("testkit: only %d codes", len(names))
	}
	return names
}
