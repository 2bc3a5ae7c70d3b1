package hubwire_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// TestREADME runs the program in README.md, and compares what it prints with
// what README.md says that it does.
func TestREADME(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a program")
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```go\n(.*?)```\n\nIt prints `([^`]*)`").FindSubmatch(readme)
	if found == nil {
		t.Fatal("README.md has no program with what it prints")
	}
	program := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(program, found[1], 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "run", program).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := bytes.TrimSpace(out); !bytes.Equal(got, found[2]) {
		t.Errorf("it prints\n%s\nREADME.md says\n%s", got, found[2])
	}
}
