package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// small is a table with a row of each kind.
func small() []*table {
	return []*table{{"Small", []string{"mqtt", "amqp"}, []row{
		{"P-01", "tokens", "YY", []claim{
			ok("mqtt amqp", "device.TestTokens/a key/*"),
			ok("mqtt", "interop.TestNode/*/logins"),
		}},
		{"P-02", "reject", "-n", []claim{
			limited("amqp", "not often", "device.TestReject/*"),
			impossible("mqtt", "PUBACK is all", "device.TestReject/*"),
		}},
		{"P-29", "MQTT 5", "n-", []claim{notYet("mqtt", "later"), impossible("amqp", "it is MQTT's")}},
	}}}
}

// outcomes are results of the tests of small, which all passed but those named here.
func outcomes(but map[string]string) string {
	var b strings.Builder
	for _, name := range []string{"device TestTokens/a_key/mqtt", "device TestTokens/a_key/amqp", "device TestReject/mqtt", "device TestReject/amqp", "interop TestNode/mqtt/logins"} {
		pkg, test, _ := strings.Cut(name, " ")
		action := "pass"
		if a, there := but[name]; there {
			action = a
		}
		if action == "missing" {
			continue
		}
		fmt.Fprintf(&b, `{"Action":"run","Package":"%s/%s","Test":"%s"}`+"\n", module, pkg, test)
		if action == "unfinished" {
			continue
		}
		fmt.Fprintf(&b, `{"Action":"output","Package":"%s/%s","Test":"%s","Output":"what it said\n"}`+"\n", module, pkg, test)
		fmt.Fprintf(&b, `{"Action":"%s","Package":"%s/%s","Test":"%s"}`+"\n", action, module, pkg, test)
	}
	for _, pkg := range []string{"device", "interop"} {
		fmt.Fprintf(&b, `{"Action":"pass","Package":"%s/%s"}`+"\n", module, pkg)
	}
	return b.String()
}

func resultsOf(t *testing.T, runs ...string) *results {
	t.Helper()
	r := newResults()
	for _, run := range runs {
		if err := r.read(strings.NewReader(run)); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// folder is a module's root with the tests of small in it.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"device/a_test.go":  "package device\n\nfunc TestTokens(t *testing.T) {}\n",
		"device/b_test.go":  "package device\n\nfunc TestReject(t *testing.T) {}\n",
		"interop/n_test.go": "package interop\n\nfunc TestNode(t *testing.T) {}\n",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// written makes the file of results, whatever they are, and returns it.
func written(t *testing.T, dir string, got *results) (string, error) {
	t.Helper()
	err := compare(dir, small(), got, true, &bytes.Buffer{})
	text, readErr := os.ReadFile(filepath.Join(dir, file))
	if readErr != nil {
		t.Fatal(readErr)
	}
	return string(text), err
}

func TestTheFileSaysWhatTheResultsGive(t *testing.T) {
	text, err := written(t, folder(t), resultsOf(t, outcomes(nil)))
	if err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(text, "\n\n**")
	legend, tables, _ := strings.Cut(got, "\n\n- ")
	_, tables, _ = strings.Cut(tables, "## ")
	const want = `3 cells are ok, 1 of them judged by clients that nobody here wrote; 0 failed, 1 not yet, 2 impossible on the service itself.**`
	if legend != want {
		t.Errorf("got  %s\nwant %s", legend, want)
	}
	const wantTables = `Small

| cells | mqtt | amqp |
| --- | --- | --- |
| ok | 1 | 2 |
| of those, judged | 1 | 0 |
| failed | 0 | 0 |
| not yet | 1 | 0 |
| impossible | 1 | 1 |

| row | feature | mqtt | amqp |
| --- | --- | --- | --- |
| [P-01](#p-01) | tokens | ok, judged | ok |
| [P-02](#p-02) | reject | impossible | ok* |
| [P-29](#p-29) | MQTT 5 | not yet | impossible |

## Proofs

In the name of a test ` + "`*`" + ` stands for the protocol. Scripted are conversations of the SDKs for C, Python, .NET and Java, byte by byte.

### P-01

tokens:

- ok over mqtt, amqp
  - [` + "`device.TestTokens/a key/*`" + `](device/a_test.go)
- ok over mqtt
  - judged: [` + "`interop.TestNode/*/logins`" + `](interop/n_test.go)

### P-02

reject:

- ok over amqp: not often
  - [` + "`device.TestReject/*`" + `](device/b_test.go)
- impossible over mqtt: PUBACK is all
  - [` + "`device.TestReject/*`" + `](device/b_test.go)

### P-29

MQTT 5:

- not yet over mqtt: later
- impossible over amqp: it is MQTT's
`
	if diff := cmp.Diff(wantTables, tables); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestAFileThatIsNotWhatTheResultsGiveIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		change  func(text string) string // of a file that was right
		results map[string]string        // other than passed
		want    []string                 // in the error; none: there is none
	}{
		"all is as it was": {},
		"a cell was changed by hand": {
			change: func(s string) string { return strings.Replace(s, "ok, judged | ok |", "ok | ok |", 1) },
			want:   []string{"CONFORMANCE.md is stale", "-| [P-01](#p-01) | tokens | ok | ok |", "+| [P-01](#p-01) | tokens | ok, judged | ok |"},
		},
		"a line is gone": {
			change: func(s string) string { return strings.Replace(s, "- not yet over mqtt: later\n", "", 1) },
			want:   []string{"stale", "+- not yet over mqtt: later"},
		},
		"lines are in another order": {
			change: func(s string) string { return strings.Replace(s, "reject:\n\n", "\nreject:\n", 1) },
			want:   []string{"another order"},
		},
		"a test fails": {
			results: map[string]string{"device TestTokens/a_key/amqp": "fail"},
			want:    []string{"P-01 over amqp has failed: device.TestTokens/a key/amqp failed", "P-01 over amqp was ok and is failed", "stale"},
		},
		"a test is skipped": {
			results: map[string]string{"interop TestNode/mqtt/logins": "skip"},
			want:    []string{"P-01 over mqtt has failed: interop.TestNode/mqtt/logins was skipped", "P-01 over mqtt was ok, judged and is failed"},
		},
		"a test does not end": {
			results: map[string]string{"device TestReject/amqp": "unfinished"},
			want:    []string{"P-02 over amqp has failed: device.TestReject/amqp failed"},
		},
		"what is to be impossible works": {
			results: map[string]string{"device TestReject/mqtt": "fail"},
			want:    []string{"P-02 over mqtt has failed: device.TestReject/mqtt failed"},
		},
		"a test is not in the results": {
			results: map[string]string{"device TestReject/amqp": "missing"},
			want:    []string{"P-02 over amqp: the results have no test device.TestReject/amqp"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t)
			text, err := written(t, dir, resultsOf(t, outcomes(nil)))
			if err != nil {
				t.Fatal(err)
			}
			if tt.change != nil {
				text = tt.change(text)
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			err = compare(dir, small(), resultsOf(t, outcomes(tt.results)), false, &bytes.Buffer{})
			if (err == nil) != (len(tt.want) == 0) {
				t.Fatalf("it ends with %v", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
			if now, _ := os.ReadFile(filepath.Join(dir, file)); string(now) != text {
				t.Error("a check has changed the file")
			}
		})
	}
}

func TestAFileIsWrittenWithItsFailuresAndTheyAreTold(t *testing.T) {
	text, err := written(t, folder(t), resultsOf(t, outcomes(map[string]string{"device TestReject/amqp": "fail"})))
	if err == nil || !strings.Contains(text, "| impossible | failed |") || !strings.Contains(text, "- **failed** over amqp: device.TestReject/amqp failed\n") {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestATestFunctionThatThereIsNotIsNamed(t *testing.T) {
	dir := folder(t)
	if err := os.Remove(filepath.Join(dir, "device", "b_test.go")); err != nil {
		t.Fatal(err)
	}
	err := compare(dir, small(), resultsOf(t, outcomes(nil)), true, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "P-02: package device has no test function TestReject") {
		t.Error(err)
	}
}

func TestSeveralResultsOfOneTest(t *testing.T) {
	run := func(action string) string {
		return outcomes(map[string]string{"interop TestNode/mqtt/logins": action})
	}
	for name, tt := range map[string]struct {
		runs []string
		want outcome
	}{
		"skipped in one, passed in the other": {[]string{run("skip"), run("pass")}, passed},
		"the other way round":                 {[]string{run("pass"), run("skip")}, passed},
		"failed once":                         {[]string{run("fail"), run("pass")}, failed},
		"skipped":                             {[]string{run("skip"), run("skip")}, skipped},
		"did not end":                         {[]string{run("unfinished"), run("pass")}, failed},
	} {
		t.Run(name, func(t *testing.T) {
			if got, there := resultsOf(t, tt.runs...).of("interop.TestNode/mqtt/logins"); got != tt.want || !there {
				t.Errorf("it %v", got)
			}
		})
	}
}

func TestResultsThatAreNone(t *testing.T) {
	for name, text := range map[string]string{
		"nothing": "", "the text of go test": "ok  \tgithub.com/hubwire/hubwire/device\t1.2s\n", "no package's": `{"Action":"start"}` + "x",
	} {
		if err := newResults().read(strings.NewReader(text)); err == nil {
			t.Errorf("%s is taken for results", name)
		}
	}
	if _, err := readFiles(nil); err == nil {
		t.Error("no files are taken for results")
	}
}

func TestWhatPackagesCameTo(t *testing.T) {
	r := resultsOf(t, outcomes(map[string]string{"device TestReject/amqp": "fail", "device TestReject/mqtt": "skip"}),
		`{"ImportPath":"`+module+`/ws [`+module+`/ws.test]","Action":"build-output","Output":"ws/a.go:1: no\n"}
{"ImportPath":"`+module+`/ws [`+module+`/ws.test]","Action":"build-fail"}
{"Action":"start","Package":"`+module+`/ws"}
{"Action":"fail","Package":"`+module+`/ws","FailedBuild":"x"}
{"Action":"fail","Package":"`+module+`/device"}
{"Action":"skip","Package":"`+module+`/empty"}
`)
	var out strings.Builder
	if r.count(&out) {
		t.Error("it says that all is well")
	}
	const want = `device: 2 passed, 1 failed, 1 skipped: FAILED
interop: 1 passed, 0 failed, 0 skipped
ws: 0 passed, 0 failed, 0 skipped: FAILED

device.TestReject/amqp
what it said

ws
ws/a.go:1: no
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	out.Reset()
	if !resultsOf(t, outcomes(nil)).count(&out) || out.String() != "device: 4 passed, 0 failed, 0 skipped\ninterop: 1 passed, 0 failed, 0 skipped\n" {
		t.Errorf("of results that are good: %s", &out)
	}
}

// A table may claim no more, and no less, than the service has.
func TestClaimsThatCannotBe(t *testing.T) {
	for want, r := range map[string]row{
		"over mqtt: nothing is said":                 {"P-01", "x", "Y-", []claim{impossible("amqp", "no")}},
		"over mqtt: the service has it":              {"P-01", "x", "Y-", []claim{impossible("mqtt amqp", "no")}},
		"over amqp: the service has no such thing":   {"P-01", "x", "Y-", []claim{ok("mqtt amqp", "a.TestX")}},
		"over mqtt: no test proves it":               {"P-01", "x", "Y-", []claim{ok("mqtt"), impossible("amqp", "no")}},
		"over mqtt: it does not say what its limits": {"P-01", "x", "n-", []claim{ok("mqtt", "a.TestX"), impossible("amqp", "no")}},
		"over amqp: it does not say why":             {"P-01", "x", "Y-", []claim{ok("mqtt", "a.TestX"), impossible("amqp", "")}},
		"over mqtt: that is not for later":           {"P-01", "x", "Y-", []claim{notYet("mqtt", "no time"), impossible("amqp", "no")}},
		"over mqtt: it is ok and impossible":         {"P-01", "x", "n-", []claim{ok("mqtt", "a.TestX"), impossible("mqtt amqp", "no")}},
		`"Y" is not a letter for each of 2 columns`:  {"P-01", "x", "Y", nil},
		`there is no column "coap"`:                  {"P-01", "x", "Y-", []claim{ok("mqtt coap", "a.TestX"), impossible("amqp", "no")}},
		"there are two rows of that number":          {"P-02", "x", "--", []claim{impossible("mqtt amqp", "no")}},
		`over mqtt: 'y' is not Y, - or n`:            {"P-01", "x", "y-", []claim{ok("mqtt", "a.TestX"), impossible("amqp", "no")}},
	} {
		wrong := (&table{"T", []string{"mqtt", "amqp"}, []row{{"P-02", "y", "--", []claim{impossible("mqtt amqp", "no")}}, r}}).check()
		if len(wrong) != 1 || !strings.Contains(wrong[0].Error(), want) {
			t.Errorf("want %q, got %v", want, wrong)
		}
	}
}

// TestTheFileIsThatOfTheTables holds CONFORMANCE.md against the tables as if all tests had
// passed, which is what it has to say; whether they do is for CI to say.
func TestTheFileIsThatOfTheTables(t *testing.T) {
	all := newResults()
	for _, table := range conformance {
		for _, r := range table.rows {
			for _, c := range r.claims {
				for _, column := range c.columns {
					for _, test := range c.tests {
						all.tests[strings.ReplaceAll(named(test, column), " ", "_")] = passed
					}
				}
			}
		}
	}
	if err := compare("..", conformance, all, false, &bytes.Buffer{}); err != nil {
		t.Error(err)
	}
}

func TestEachRowOfTheServicesMatrixIsThere(t *testing.T) {
	var got []string
	for _, table := range conformance {
		for _, r := range table.rows {
			id := strings.TrimRight(r.id, "abcdefghijklm")
			if len(got) == 0 || got[len(got)-1] != id {
				got = append(got, id)
			}
		}
	}
	var want []string
	for i := range 31 {
		want = append(want, fmt.Sprintf("P-%02d", i+1))
	}
	for i := range 8 {
		want = append(want, fmt.Sprintf("Q-%02d", i+1))
	}
	if !slices.Equal(got, want) {
		t.Errorf("the rows are %v", got)
	}
}

func TestCommandsThatMakeNoSense(t *testing.T) {
	for _, args := range [][]string{{"-x"}, {"results.json"}, {"-check"}, {"-results", "no-such-file"}} {
		if err := command(t.Context(), args, &bytes.Buffer{}); err == nil {
			t.Errorf("%q is done", args)
		}
	}
}
