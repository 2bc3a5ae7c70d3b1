package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// testRoles are played by this test binary, in processes of their own.
var testRoles = map[string]role{
	"counter": func(s setup) (*actor, error) {
		var n int64
		return &actor{
			door:  door{TCP: "here " + s.Door.TCP},
			count: func() int64 { return n },
			run:   func(k int) error { n += int64(k); return nil },
		}, nil
	},
	// generous counts more than is asked of it, and miserly less.
	"generous": func(setup) (*actor, error) {
		n := int64(0)
		return &actor{count: func() int64 { n += 7; return n }, run: func(int) error { return nil }}, nil
	},
	"miserly": func(setup) (*actor, error) {
		return &actor{count: func() int64 { return 0 }, run: func(int) error { return nil }}, nil
	},
	"uncounted": func(setup) (*actor, error) {
		return &actor{door: door{Uncounted: true}, count: func() int64 { return 0 }}, nil
	},
	"failure": func(setup) (*actor, error) { return nil, errors.New("no such luck") },
	"sick": func(setup) (*actor, error) {
		return &actor{run: func(int) error { return errors.New("out of breath") }}, nil
	},
	"quitter": func(setup) (*actor, error) {
		return &actor{run: func(int) error { os.Exit(3); return nil }}, nil
	},
	"processors": func(setup) (*actor, error) {
		return &actor{door: door{TCP: strconv.Itoa(runtime.GOMAXPROCS(0))}}, nil
	},
	"sleeper": func(setup) (*actor, error) { return &actor{run: func(int) error { select {} }}, nil },
}

func TestMain(m *testing.M) {
	for name, r := range testRoles {
		roles[name] = r
	}
	if name, ok := os.LookupEnv(roleEnv); ok {
		os.Exit(playNamed(name))
	}
	os.Exit(m.Run())
}

// asked plays a role in this process.
func asked(t *testing.T, name string) (ask func(order) answer, end func() error) {
	t.Helper()
	in, orders := io.Pipe()
	answers, out := io.Pipe()
	played := make(chan error, 1)
	go func() { played <- play(testRoles[name], in, out) }()
	enc, dec := json.NewEncoder(orders), json.NewDecoder(answers)
	ask = func(o order) (a answer) {
		if err := errors.Join(enc.Encode(o), dec.Decode(&a)); err != nil {
			t.Error(err)
		}
		return a
	}
	return ask, func() error { orders.Close(); return <-played }
}

func TestOrdersAndAnswers(t *testing.T) {
	ask, end := asked(t, "counter")
	for _, tt := range []struct {
		name  string
		order order
		err   string
		count int64
	}{
		{"nothing goes before the start", order{Do: doTell}, `orders: cannot "tell" now`, 0},
		{"nor a start without a setup", order{Do: doStart}, `orders: cannot "start" now`, 0},
		{"a start", order{Do: doStart, Setup: &setup{Door: door{TCP: "x"}}}, "", 0},
		{"no second one", order{Do: doStart, Setup: &setup{}}, `orders: cannot "start" now`, 0},
		{"a stretch counts what is in it", order{Do: doRun, N: 5}, "", 5},
		{"and the next one only its own", order{Do: doRun, N: 7}, "", 7},
		{"not one of nothing", order{Do: doRun}, `orders: cannot "run" now`, 0},
		{"the total is what there was so far", order{Do: doTell}, "", 12},
		{"another order", order{Do: "dance"}, `orders: cannot "dance" now`, 0},
	} {
		a := ask(tt.order)
		if a.Error != tt.err {
			t.Errorf("%s: %q, want %q", tt.name, a.Error, tt.err)
		}
		if a.Door != nil && a.Door.TCP != "here x" {
			t.Errorf("%s: the door is %q", tt.name, a.Door.TCP)
		}
		if a.Usage != nil && a.Usage.Count != tt.count {
			t.Errorf("%s: %d, want %d", tt.name, a.Usage.Count, tt.count)
		}
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

func TestBadOrdersEndTheProcess(t *testing.T) {
	for _, tt := range []struct{ name, orders, says string }{
		{"no JSON", "run", "orders: invalid"},
		{"of another form", `{"Do":1}`, "orders: json"},
		{"cut off", `{"Do":`, "orders: unexpected EOF"},
	} {
		if err := play(testRoles["counter"], strings.NewReader(tt.orders), io.Discard); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
	}
}

func TestTheEndOfTheOrdersEndsWhatIsUnderWay(t *testing.T) {
	in := `{"Do":"start","Setup":{}} `
	reader, orders := io.Pipe()
	answers, out := io.Pipe()
	played := make(chan error, 1)
	go func() { played <- play(testRoles["sleeper"], reader, out) }()
	io.WriteString(orders, in)
	var a answer
	if err := json.NewDecoder(answers).Decode(&a); err != nil {
		t.Fatal(err)
	}
	io.WriteString(orders, `{"Do":"run","N":1}`)
	orders.Close()
	if err := <-played; err != nil {
		t.Error(err)
	}
}

func TestProcesses(t *testing.T) {
	for _, tt := range []struct {
		role string
		says string // of the error of start or run; "" is none
	}{
		{"counter", ""},
		{"failure", "failure: start: no such luck"},
		{"sick", "sick: run: out of breath"},
		{"quitter", "quitter: run: no answer: EOF"},
		{"nobody", "nobody: start: no answer: EOF"},
	} {
		p, err := launch(tt.role, setup{Door: door{TCP: "x"}}, false)
		if err == nil {
			var u usage
			if u, err = p.run(3); err == nil && (u.Count != 3 || u.Wall <= 0) {
				t.Errorf("%s: used %+v", tt.role, u)
			}
			p.close()
			p.close() // which does no harm
		}
		if got := errorText(err); got != tt.says {
			t.Errorf("%s: %q, want %q", tt.role, got, tt.says)
		}
		if left := children.list(); len(left) > 0 {
			t.Errorf("%s: processes %v are left", tt.role, left)
		}
	}
}

func TestAProcessThatIsGoneGivesNoAnswer(t *testing.T) {
	p, err := launch("counter", setup{}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.cmd.Process.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.run(1); errorText(err) != "counter: run: no answer: EOF" {
		t.Errorf("%v", err)
	}
}

func TestAProcessOnOneProcessor(t *testing.T) {
	p, err := launch("processors", setup{}, true)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if d := cmp.Diff("1", p.door.TCP); d != "" {
		t.Errorf("processors (-want +got):\n%s", d)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
