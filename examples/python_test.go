package examples

import (
	"bytes"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const fromPython = "../docs/from-python-v1.md"

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(fromPython)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// goName is a name of one of the packages that the page leads to, and perhaps of members.
var goName = regexp.MustCompile(`\b(hubwire|device|service|sas|upload|hub|errors|net|context)((?:\.[A-Z]\w*)+)`)

// TestEachGoNameOfThePageExists looks up what stands in code spans of the page's text. Its programs are the compiler's.
func TestEachGoNameOfThePageExists(t *testing.T) {
	text := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(page(t), "")
	packages := load(t, map[string]string{
		"hubwire": "github.com/hubwire/hubwire", "device": "github.com/hubwire/hubwire/device",
		"service": "github.com/hubwire/hubwire/service", "sas": "github.com/hubwire/hubwire/sas",
		"upload": "github.com/hubwire/hubwire/upload", "hub": "github.com/hubwire/hubwire/hub",
		"errors": "errors", "net": "net", "context": "context",
	})
	n := 0
	for _, span := range regexp.MustCompile("`[^`]*`").FindAllString(text, -1) {
		for _, m := range goName.FindAllStringSubmatch(span, -1) {
			n++
			if !exists(packages[m[1]], strings.Split(m[2], ".")[1:]) {
				t.Errorf("there is no %s", m[0])
			}
		}
	}
	if n < 100 {
		t.Errorf("only %d names were found", n)
	}
}

// load reads what the compiler exports of packages, by the names that they have here.
func load(t *testing.T, paths map[string]string) map[string]*types.Package {
	t.Helper()
	args := []string{"list", "-export", "-deps", "-f", "{{.ImportPath}}={{.Export}}"}
	for _, path := range paths {
		args = append(args, path)
	}
	list := exec.CommandContext(t.Context(), "go", args...)
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), "=")
		files[path] = file
	}
	from := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) { return os.Open(files[path]) })
	packages := map[string]*types.Package{}
	for name, path := range paths {
		if packages[name], err = from.Import(path); err != nil {
			t.Fatal(err)
		}
	}
	return packages
}

// exists reports whether a package has a name, which has a field or method, which has another.
func exists(p *types.Package, names []string) bool {
	o := p.Scope().Lookup(names[0])
	for _, member := range names[1:] {
		if o == nil {
			return false
		}
		o, _, _ = types.LookupFieldOrMethod(o.Type(), true, p, member)
	}
	return o != nil
}

func TestExistsTellsWhatIsNotThere(t *testing.T) {
	p := load(t, map[string]string{"net": "net"})["net"]
	for name, want := range map[string]bool{"Dialer.Timeout": true, "Dialer.Resolver.Dial": true, "Dialer.DialContext": true, "Dialler": false, "Dialer.Timeouts": false, "Dialer.No.Such": false} {
		if got := exists(p, strings.Split(name, ".")); got != want {
			t.Errorf("net.%s: %t", name, got)
		}
	}
}

func TestThePageHasEachNameOfThePythonPackages(t *testing.T) {
	names, err := os.ReadFile("testdata/python-v1-names.txt")
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]bool{}
	for _, w := range regexp.MustCompile(`\w+`).FindAllString(page(t), -1) {
		words[w] = true
	}
	for line := range strings.Lines(string(names)) {
		line, _, _ = strings.Cut(line, "#")
		for _, name := range strings.Fields(line) {
			if !words[name] {
				t.Errorf("%s is missing", name)
			}
		}
	}
}

func TestTheProgramsOfThePageCompile(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles programs")
	}
	programs := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(page(t), -1)
	if len(programs) != 2 {
		t.Fatalf("there are %d", len(programs))
	}
	for _, p := range programs {
		file := filepath.Join(t.TempDir(), "main.go")
		if err := os.WriteFile(file, []byte(p[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "go", "vet", file).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		formatted, err := exec.CommandContext(t.Context(), "gofmt", file).Output()
		if err != nil || !bytes.Equal(formatted, []byte(p[1])) {
			t.Errorf("it is not formatted: %v", err)
		}
	}
}
