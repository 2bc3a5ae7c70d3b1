// Package examples tests that the examples are what their headers and README.md say.
package examples

import (
	"bytes"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// header is the comment at the head of an example, and the commands that it gives.
func header(t *testing.T, folder string) (text string, commands []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(folder, "main.go"), nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	text = f.Doc.Text()
	for line := range strings.Lines(text) {
		if command, ok := strings.CutPrefix(line, "\t"); ok {
			commands = append(commands, strings.TrimSpace(command))
		}
	}
	return text, commands
}

func folders(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("t*/main.go")
	if err != nil || len(all) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for i := range all {
		all[i] = filepath.Dir(all[i])
	}
	return all
}

func TestEachExampleHasAHeaderAndARow(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders(t) {
		text, commands := header(t, folder)
		if !strings.HasPrefix(text, "Command "+folder+" is the ") {
			t.Errorf("%s: the header does not say what it is", folder)
		}
		if !strings.Contains(text, "print") {
			t.Errorf("%s: the header does not say what it prints", folder)
		}
		if len(commands) == 0 {
			t.Errorf("%s: the header has no command", folder)
		}
		for _, c := range commands {
			if c != "go run ./examples/"+folder && !strings.HasPrefix(c, "go run ./examples/"+folder+" ") {
				t.Errorf("%s: the header has the command %q", folder, c)
			}
		}
		if !bytes.Contains(readme, []byte("\n| `"+folder+"` | ")) {
			t.Errorf("%s has no row in README.md", folder)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllSubmatch(readme, -1) {
		if _, err := os.Stat(filepath.Join(string(m[1]), "main.go")); err != nil {
			t.Errorf("a row of README.md: %v", err)
		}
	}
}

// TestEachCommand runs what the headers say, from the root of the repository. What it prints is looked at by
// each example's own test.
func TestEachCommand(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds each example")
	}
	for _, folder := range folders(t) {
		_, commands := header(t, folder)
		for _, command := range commands {
			t.Run(command, func(t *testing.T) {
				t.Parallel()
				words := strings.Fields(command)
				c := exec.CommandContext(t.Context(), words[0], words[1:]...)
				c.Dir = ".."
				c.Env = append(os.Environ(), "HUBWIRE_CONNECTION_STRING=", "GOWORK=") // an embedded hub, and the go.work of the root
				var stdout, stderr bytes.Buffer
				c.Stdout, c.Stderr = &stdout, &stderr
				if err := c.Run(); err != nil {
					t.Fatalf("%v\n%s%s", err, &stdout, &stderr)
				}
				if stdout.Len() == 0 || stderr.Len() > 0 {
					t.Errorf("it printed %q, and as errors %q", &stdout, &stderr)
				}
			})
		}
	}
}
