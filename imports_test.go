package hubwire_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/hubwire/hubwire"

// rule says what a package may import: packages of floors below its own, or
// its parent folder's package, and outside the module only what is named.
type rule struct {
	floor   int
	outside []string
}

// The house, as DESIGN.md has it. What is inside the hub stands on floors of its
// own, so that a front may import core, and core the store.
var house = map[string]rule{
	"":                             {floor: 0},
	"internal/backoff":             {floor: 0},
	"internal/errtext":             {floor: 0},
	"internal/goroutine":           {floor: 0},
	"internal/jsonobject":          {floor: 0},
	"internal/loss":                {floor: 0},
	"internal/percent":             {floor: 0},
	"internal/notls":               {floor: 0},
	"internal/pipe":                {floor: 0},
	"internal/systemtime":          {floor: 0},
	"internal/dialled":             {floor: 1},
	"sas":                          {floor: 1},
	"topics":                       {floor: 1},
	"internal/amqp10":              {floor: 1},
	"internal/amqp10/frametext":    {floor: 2},
	"ws":                           {floor: 2, outside: []string{"github.com/coder/websocket"}},
	"mqtt":                         {floor: 2},
	"amqp":                         {floor: 2},
	"httpsx":                       {floor: 2},
	"internal/unsettled":           {floor: 2},
	"internal/amqpserver":          {floor: 3},
	"internal/amqpclient":          {floor: 3},
	"mqtt/mqtt5":                   {floor: 3, outside: []string{"github.com/eclipse/paho.golang"}},
	"hub/internal/pki":             {floor: 3},
	"hub/internal/query":           {floor: 3},
	"hub/internal/store":           {floor: 3},
	"hub/internal/store/storetest": {floor: 3, outside: []string{"github.com/google/go-cmp"}},
	"amqp/links":                   {floor: 4},
	"hub/internal/conns":           {floor: 4},
	"hub/internal/core":            {floor: 4},
	"hub/internal/dps":             {floor: 4},
	"hub/internal/blob":            {floor: 5},
	"hub/internal/mqttfront":       {floor: 5},
	"hub/internal/amqpfront":       {floor: 5},
	"hub/internal/httpfront":       {floor: 5},
	"hub":                          {floor: 6, outside: []string{"golang.org/x/sync"}},
	"hub/hubtest":                  {floor: 7},
	"device":                       {floor: 6, outside: []string{"golang.org/x/sync"}},
	"service":                      {floor: 6, outside: []string{"golang.org/x/sync"}},
	"internal/testkit":             {floor: 1, outside: []string{"github.com/google/go-cmp"}},
	"faults":                       {floor: 8},
	"conformance":                  {floor: 8},
	"fuzz":                         {floor: 8, outside: []string{"github.com/google/go-cmp"}},
}

// noNet are the packages that work where there is no network: neither they nor
// anything they import may import package net.
var noNet = []string{"", "internal/backoff", "internal/errtext", "internal/goroutine", "internal/jsonobject", "internal/percent", "internal/systemtime", "sas", "topics", "internal/amqp10"}

type listed struct {
	ImportPath, Dir           string
	Imports, Deps             []string
	TestGoFiles, XTestGoFiles []string
}

func TestImportsPointDown(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		r, ok := house[name]
		if !ok {
			t.Errorf("package %q has no place in the house: add it to the table here and in DESIGN.md", name)
			continue
		}
		for _, dep := range p.Imports {
			if why := forbidden(name, r, dep); why != "" {
				t.Errorf("package %q imports %s: %s", name, dep, why)
			}
		}
		if slices.Contains(noNet, name) && slices.Contains(p.Deps, "net") {
			t.Errorf("package %q comes to import net", name)
		}
	}
}

func TestEveryPackageLooksForGoroutinesThatItsTestsLeave(t *testing.T) {
	for _, p := range packages(t) {
		tests, looks := slices.Concat(p.TestGoFiles, p.XTestGoFiles), false
		for _, name := range tests {
			text, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			looks = looks || strings.Contains(string(text), "func TestMain(m *testing.M)")
		}
		if len(tests) > 0 && !looks {
			t.Errorf("package %q has no TestMain, which is where testkit.Main is called", p.ImportPath)
		}
	}
}

// forbidden says why a package may not import dep, or "".
func forbidden(name string, r rule, dep string) string {
	own, inside := strings.CutPrefix(dep, module)
	own = strings.TrimPrefix(own, "/")
	switch {
	case inside && own == "internal/testkit":
		return "only tests import it"
	case inside:
		if house[own].floor >= r.floor && own != parent(name) {
			return "that is not on a floor below"
		}
	case strings.Contains(strings.Split(dep, "/")[0], "."):
		if !slices.ContainsFunc(r.outside, func(m string) bool { return dep == m || strings.HasPrefix(dep, m+"/") }) {
			return "the table does not allow it"
		}
	}
	return ""
}

func parent(name string) string {
	if dir := path.Dir(name); dir != "." {
		return dir
	}
	return ""
}

func TestTheTableRefuses(t *testing.T) {
	for _, c := range []struct {
		from, to string
		ok       bool
	}{
		{"mqtt", module + "/topics", true},
		{"topics", module + "/mqtt", false},
		{"topics", module + "/sas", false},
		{"hub/internal/core", module + "/hub/internal/mqttfront", false},
		{"hub/hubtest", module + "/hub", true},
		{"ws", "github.com/coder/websocket", true},
		{"mqtt", "github.com/coder/websocket", false},
		{"mqtt", "net", true},
		{"mqtt", module + "/internal/testkit", false},
	} {
		if why := forbidden(c.from, house[c.from], c.to); (why == "") != c.ok {
			t.Errorf("%s -> %s: %q", c.from, c.to, why)
		}
	}
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,Deps,TestGoFiles,XTestGoFiles", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		t.Fatal("go list names no package")
	}
	return all
}
