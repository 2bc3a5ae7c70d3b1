package testkit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// recorder is a testing.TB that keeps what would have failed the test.
type recorder struct {
	testing.TB
	failed   []string
	cleanups []func()
}

func (r *recorder) Helper()             {}
func (r *recorder) Cleanup(f func())    { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Logf(string, ...any) {}
func (r *recorder) Errorf(format string, args ...any) {
	r.failed = append(r.failed, fmt.Sprintf(format, args...))
}
func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(r)
}

// run calls f and the cleanups it registered, as a test does.
func (r *recorder) run(f func(t testing.TB)) (self *recorder) {
	self = r
	defer func() {
		if p := recover(); p != nil && p != any(r) {
			panic(p)
		}
		for _, c := range r.cleanups {
			c()
		}
	}()
	f(r)
	return self
}

func TestLeakCheckNamesTheGoroutineThatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the patience passes at once
		stop := make(chan struct{})
		r := new(recorder).run(func(t testing.TB) {
			LeakCheck(t)
			go leakingGoroutine(stop)
		})
		close(stop)
		if len(r.failed) != 1 || !strings.Contains(r.failed[0], "leakingGoroutine") {
			t.Errorf("got failures %q, want one that shows leakingGoroutine", r.failed)
		}
	})
}

func leakingGoroutine(stop chan struct{}) { <-stop }

func TestMain(m *testing.M) { Main(m) }

// TestMainFailsWhenAGoroutineStays runs itself again, in processes that leave one or not.
func TestMainFailsWhenAGoroutineStays(t *testing.T) {
	const leaves = "TESTKIT_LEAVES_GOROUTINE"
	switch os.Getenv(leaves) {
	case "yes":
		go leakingGoroutine(nil)
		return
	case "no":
		return
	}
	for leave, want := range map[string]bool{"yes": true, "no": false} {
		again := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		again.Env = append(os.Environ(), leaves+"="+leave)
		out, err := again.CombinedOutput()
		if failed, named := err != nil, strings.Contains(string(out), "leakingGoroutine"); failed != want || named != want {
			t.Errorf("leaves a goroutine: %s; %v\n%s", leave, err, out)
		}
	}
}

func TestGrowthTellsRisingFromFlat(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		name             string
		goroutines, heap []float64
		failures         int
	}{
		{"flat", []float64{5, 5, 5, 5}, []float64{mib, mib, mib, mib}, 0},
		{"up and down", []float64{5, 7, 6, 5}, []float64{2 * mib, 3 * mib, 3 * mib, 2 * mib}, 0},
		{"falling", []float64{9, 7, 5, 3}, []float64{4 * mib, 3 * mib, 2 * mib, mib}, 0},
		{"hardly rising", []float64{5, 5, 5, 5}, []float64{20 * mib, 20.05 * mib, 20.1 * mib, 20.15 * mib}, 0},
		{"noise", []float64{5, 6, 5, 6}, []float64{1000, 2000, 30_000, 40_000}, 0},
		{"goroutines", []float64{5, 7, 9, 11}, []float64{mib, mib, mib, mib}, 1},
		{"heap", []float64{5, 5, 5, 5}, []float64{20 * mib, 20.1 * mib, 20.2 * mib, 20.3 * mib}, 1},
		{"both", []float64{5, 50}, []float64{mib, 2 * mib}, 2},
		{"one sample", []float64{5}, []float64{mib}, 0},
	} {
		r := new(recorder).run(func(t testing.TB) { (&Growth{tt.goroutines, tt.heap}).Check(t) })
		if len(r.failed) != tt.failures {
			t.Errorf("%s: %q", tt.name, r.failed)
		}
	}
}

func TestTheLeastOfSomeSamplesIsWhatStays(t *testing.T) {
	var g Growth
	var comes []byte
	for range 3 {
		n := 0
		g.Least(3, func() {
			if comes = nil; n%2 == 0 {
				comes = make([]byte, 1<<20)
			}
			n++
		})
	}
	runtime.KeepAlive(comes)
	if len(g.heap) != 3 || len(g.goroutines) != 3 {
		t.Fatalf("%v, %v", g.heap, g.goroutines)
	}
	if r := new(recorder).run(func(t testing.TB) { g.Check(t) }); len(r.failed) > 0 {
		t.Errorf("%v", g.heap)
	}
}

func TestGrowthSeesWhatIsKept(t *testing.T) {
	var g Growth
	var kept [][]byte
	for range 5 {
		g.Sample()
		kept = append(kept, make([]byte, 1<<20))
	}
	if r := new(recorder).run(func(t testing.TB) { g.Check(t) }); len(r.failed) != 1 {
		t.Errorf("%d MiB are kept: %q", len(kept), r.failed)
	}
}

func TestLeakCheckWaitsForGoroutinesOnTheirWayOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := new(recorder).run(func(t testing.TB) {
			LeakCheck(t)
			go time.Sleep(2 * time.Second)
		})
		if len(r.failed) != 0 {
			t.Errorf("failed: %q", r.failed)
		}
	})
}

func TestLeakCheckPassesOverWhatGoItselfKeeps(t *testing.T) {
	cleaned := make(chan struct{})
	r := new(recorder).run(func(t testing.TB) {
		LeakCheck(t)
		c := make(chan os.Signal, 1)
		signal.Notify(c, os.Interrupt)
		signal.Stop(c)
		runtime.AddCleanup(new([16]byte), func(int) { close(cleaned) }, 0)
		runtime.GC()
		<-cleaned
	})
	if len(r.failed) != 0 {
		t.Errorf("failed: %q", r.failed)
	}
}

var sink []byte

func TestNoAllocsTellsAllocatingFromNot(t *testing.T) {
	calls := 0
	r := new(recorder).run(func(t testing.TB) {
		NoAllocs(t, "quiet", func() {})
		NoAllocs(t, "loud", func() { sink = make([]byte, 100) })
		NoAllocs(t, "loud now and then", func() {
			if calls++; calls%allocBatch == 0 {
				sink = make([]byte, 100)
			}
		})
		first := 300
		NoAllocs(t, "loud for a while, as what earlier tests left", func() {
			if first--; first > 0 {
				sink = make([]byte, 100)
			}
		})
		MaxAllocs(t, "once", 1, func() { sink = make([]byte, 100) })
		MaxAllocs(t, "twice", 1, func() { sink = make([]byte, 100); sink = make([]byte, 100) })
	})
	var want []string
	if !RaceEnabled {
		want = []string{
			"loud: 20 allocations in 20 runs, want at most 0", "loud now and then: 1 allocations in 20 runs, want at most 0",
			"twice: 40 allocations in 20 runs, want at most 20",
		}
	}
	if !slices.Equal(r.failed, want) {
		t.Errorf("got failures %q, want %q", r.failed, want)
	}
}

// hidden is a careless secret: fmt calls its methods, where it does.
type hidden string

func (hidden) Format(f fmt.State, _ rune) { f.Write([]byte("hidden")) }

func TestHidesTellsShownFromHidden(t *testing.T) {
	const secret = "a secret/+"
	text := secret
	for name, check := range map[string]func(testing.TB){
		"a string":                     func(t testing.TB) { Hides(t, "", secret, secret) },
		"bytes":                        func(t testing.TB) { Hides(t, "", secret, []byte(secret)) },
		"one that only methods hide":   func(t testing.TB) { Hides(t, "", secret, hidden(secret)) },
		"a struct with one":            func(t testing.TB) { Hides(t, "", secret, struct{ S string }{secret}) },
		"a pointer to a struct of one": func(t testing.TB) { Hides(t, "", secret, &struct{ s string }{secret}) },
	} {
		if r := new(recorder).run(check); len(r.failed) != 1 {
			t.Errorf("%s: failures %q, want one", name, r.failed)
		}
	}
	for name, check := range map[string]func(testing.TB){
		"another string":          func(t testing.TB) { Hides(t, "", secret, "something else") },
		"what is behind pointers": func(t testing.TB) { Hides(t, "", secret, struct{ s *string }{&text}) },
	} {
		if r := new(recorder).run(check); len(r.failed) != 0 {
			t.Errorf("%s: failures %q, want none", name, r.failed)
		}
	}
}

func TestVectorsComeFromTheEnvironmentFirst(t *testing.T) {
	const shipped, other = `["shipped"]`, `["other"]`
	dir := t.TempDir()
	t.Chdir(dir)
	override := filepath.Join(dir, "override")
	for path, text := range map[string]string{"testdata/a.json": shipped, "testdata/b.json": shipped, "override/a.json": other} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ name, env, file, want string }{
		{"no variable", "", "a.json", shipped},
		{"the folder has the file", override, "a.json", other},
		{"the folder lacks the file", override, "b.json", shipped},
		{"no such folder", override + "-not", "a.json", ""},
		{"no such file anywhere", override, "c.json", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv(VectorsEnv, c.env)
			var got []byte
			r := new(recorder).run(func(t testing.TB) { got = Vectors(t, c.file) })
			if string(got) != c.want || (len(r.failed) > 0) != (c.want == "") {
				t.Errorf("got %q and failures %q, want %q", got, r.failed, c.want)
			}
		})
	}
}

// pipeBuffer is how much each direction of a [Pipe] holds before a Write waits.
const pipeBuffer = 64 << 10

func TestPipeCarriesBothDirectionsAtOnce(t *testing.T) {
	a, b := Pipe()
	defer a.Close()
	defer b.Close()
	for _, nc := range []net.Conn{a, b} { // both write before either reads
		if _, err := io.WriteString(nc, "from "+nc.LocalAddr().String()); err != nil {
			t.Fatal(err)
		}
	}
	for nc, want := range map[net.Conn]string{a: "from server", b: "from client"} {
		buf := make([]byte, len(want))
		if _, err := io.ReadFull(nc, buf); err != nil || string(buf) != want {
			t.Errorf("got %q, %v; want %q", buf, err, want)
		}
	}
}

func TestRechunkKeepsTheBytes(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789"), 100)
	for size := range 20 { // 0 counts as 1
		a, b := Pipe()
		sizes := func() int { return size }
		if n, err := Rechunk(a, sizes).Write(want); n != len(want) || err != nil {
			t.Fatalf("size %d: wrote %d, %v", size, n, err)
		}
		a.Close()
		r := Rechunk(b, sizes)
		buf := make([]byte, 50)
		n, err := r.Read(buf)
		if n != max(1, size) || err != nil {
			t.Errorf("size %d: one read gave %d, %v", size, n, err)
		}
		rest, err := io.ReadAll(r)
		if got := append(buf[:n], rest...); err != nil || !bytes.Equal(got, want) {
			t.Errorf("size %d: got %d bytes, %v", size, len(got), err)
		}
	}
}

func TestBlackHoleLosesWhatPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe()
		defer a.Close()
		h := BlackHole(b)
		defer h.Close()
		h.Swallow(true)
		if n, err := h.Write([]byte("lost")); n != 4 || err != nil {
			t.Errorf("a swallowed write: %d, %v", n, err)
		}
		io.WriteString(a, "lost too")
		h.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := h.Read(make([]byte, 9)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a swallowed read: %v", err)
		}
		h.Swallow(false)
		h.SetReadDeadline(time.Time{})
		io.WriteString(a, "seen")
		buf := make([]byte, 9)
		if n, err := h.Read(buf); string(buf[:n]) != "seen" || err != nil {
			t.Errorf("got %q, %v", buf[:n], err)
		}
		io.WriteString(h, "seen too")
		if n, err := a.Read(buf); string(buf[:n]) != "seen too" || err != nil {
			t.Errorf("got %q, %v", buf[:n], err)
		}
	})
}

func TestAStallStopsInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := Pipe()
		s := Stallable(client)
		exchange := func() {
			t.Helper()
			b := make([]byte, 4)
			if _, err := s.Write([]byte("ping")); err != nil {
				t.Error(err)
			}
			if _, err := io.ReadFull(server, b); err != nil || string(b) != "ping" {
				t.Errorf("%q, %v", b, err)
			}
			server.Write([]byte("pong"))
			if _, err := io.ReadFull(s, b); err != nil || string(b) != "pong" {
				t.Errorf("%q, %v", b, err)
			}
		}
		exchange()
		s.StopReads(6)
		s.StopWrites(6)
		exchange()
		b := make([]byte, 100)
		server.Write([]byte("pong"))
		if n, err := s.Read(b); err != nil || string(b[:n]) != "po" {
			t.Errorf("%q, %v", b[:n], err)
		}
		s.Write([]byte("ping"))
		if n, err := server.Read(b); err != nil || string(b[:n]) != "pi" {
			t.Errorf("%q, %v", b[:n], err)
		}
		s.SetDeadline(time.Now().Add(time.Second))
		if n, err := s.Write(make([]byte, 2*pipeBuffer)); n != pipeBuffer-2 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: %d, %v", n, err)
		}
		if _, err := s.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
		s.SetDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { s.Close() })
		if _, err := s.Write(b); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write: %v", err)
		}
		if _, err := server.Read(b); err != io.EOF {
			t.Errorf("the peer: %v", err)
		}
	})
}

func TestNoSpikeTellsASpikeFromASpread(t *testing.T) {
	even := func(n int) (times []time.Duration) {
		for i := range n {
			times = append(times, time.Duration(i)*time.Second/time.Duration(n))
		}
		return times
	}
	for _, tt := range []struct {
		name     string
		times    []time.Duration
		failures int
	}{
		{"evenly", even(100), 0},
		{"a peak", append(even(100), slices.Repeat([]time.Duration{500 * time.Millisecond}, 25)...), 0},
		{"a spike", append(even(100), slices.Repeat([]time.Duration{500 * time.Millisecond}, 50)...), 1},
		{"a spike elsewhere", append(even(100), slices.Repeat([]time.Duration{time.Second, -1}, 50)...), 0},
		{"none at all", nil, 1},
	} {
		r := new(recorder).run(func(t testing.TB) { NoSpike(t, tt.times, 0, time.Second, 100*time.Millisecond) })
		if len(r.failed) != tt.failures {
			t.Errorf("%s: %q", tt.name, r.failed)
		}
	}
}
