package hubwire_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The programs in README.md: each with what README.md says that it prints, and a test.
var (
	readmeProgram = regexp.MustCompile("(?s)```go\n(package main\n.*?)```\n\nIt prints\\s`([^`]*)`")
	readmeTest    = regexp.MustCompile("(?s)```go\n(package [a-z]+_test\n.*?)```")
	readmeLink    = regexp.MustCompile(`\]\(([^)#: ]+)(?:#[^)]*)?\)`)
)

func readme(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestREADME runs the programs in README.md, and compares what they print with
// what README.md says that they do.
func TestREADME(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds programs")
	}
	text := readme(t)
	programs := readmeProgram.FindAllSubmatch(text, -1)
	if want := strings.Count(string(text), "```go\npackage main\n"); len(programs) != want || want == 0 {
		t.Fatalf("%d of %d programs in README.md have what they print behind them", len(programs), want)
	}
	for _, p := range programs {
		out, err := golang(t.Context(), "run", written(t, "main.go", p[1])).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if got := bytes.TrimSpace(out); !bytes.Equal(got, p[2]) {
			t.Errorf("it prints\n%s\nREADME.md says\n%s", got, p[2])
		}
	}
}

// TestREADMETest runs the test in README.md.
func TestREADMETest(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a test")
	}
	test := readmeTest.FindSubmatch(readme(t))
	if test == nil {
		t.Fatal("README.md has no test")
	}
	out, err := golang(t.Context(), "test", "-v", written(t, "readme_test.go", test[1])).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: ") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestREADMECounts holds that README.md counts the cells as CONFORMANCE.md does.
func TestREADMECounts(t *testing.T) {
	table, err := os.ReadFile("CONFORMANCE.md")
	if err != nil {
		t.Fatal(err)
	}
	counts := regexp.MustCompile(`(?m)^\*\*(\d+ cells are ok, .*)\*\*$`).FindSubmatch(table)
	if counts == nil {
		t.Fatal("CONFORMANCE.md has no counts")
	}
	if !bytes.Contains(readme(t), counts[1]) {
		t.Errorf("README.md does not say, as CONFORMANCE.md does: %s", counts[1])
	}
}

// TestLinks holds that what the pages lead to is there.
func TestLinks(t *testing.T) {
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CONFORMANCE.md", "DESIGN.md",
		"bench/README.md", "examples/README.md", "interop/README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range readmeLink.FindAllSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), string(link[1]))); err != nil {
				t.Errorf("%s leads to %s: %v", page, link[1], err)
			}
		}
	}
}

func written(t *testing.T, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func golang(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "go", args...)
}
