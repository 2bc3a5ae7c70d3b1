package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubwire/hubwire/internal/testkit"
)

// buffer is a bytes.Buffer for two goroutines, one of which waits for text.
type buffer struct {
	mu      sync.Mutex
	b       bytes.Buffer
	written chan struct{} // closed and made anew with each Write
}

func newBuffer() *buffer { return &buffer{written: make(chan struct{})} }

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.written)
	b.written = make(chan struct{})
	return b.b.Write(p)
}

// await waits until b has text, and reports false when done is closed before that.
func (b *buffer) await(done <-chan struct{}, text string) bool {
	for {
		b.mu.Lock()
		written, have := b.written, strings.Contains(b.b.String(), text)
		b.mu.Unlock()
		if have {
			return true
		}
		select {
		case <-written:
		case <-done:
			return strings.Contains(b.String(), text)
		}
	}
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// job is a command of the program that runs in a goroutine of the test's process.
type job struct {
	stdout, stderr *buffer
	cancel         context.CancelFunc // is what Ctrl-C does
	done           chan struct{}
	err            error // once done is closed
}

// start runs hubwire with args and stops it with the test.
func start(t *testing.T, stdin string, args ...string) *job {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // longer than any takes
	j := &job{stdout: newBuffer(), stderr: newBuffer(), cancel: cancel, done: make(chan struct{})}
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(j.stdout)
	root.SetErr(j.stderr)
	go func() {
		defer close(j.done)
		j.err = root.ExecuteContext(ctx)
	}()
	t.Cleanup(func() { cancel(); <-j.done })
	return j
}

// await waits until the command has printed text.
func (j *job) await(t *testing.T, text string) {
	t.Helper()
	if !j.stdout.await(j.done, text) {
		t.Fatalf("the command ended with %v without printing %q\nstdout:\n%s\nstderr:\n%s", j.err, text, j.stdout, j.stderr)
	}
}

// interrupt does what Ctrl-C does, and returns what the command ended with.
func (j *job) interrupt() error {
	j.cancel()
	<-j.done
	return j.err
}

// command runs hubwire with args to its end.
func command(t *testing.T, stdin string, args ...string) (stdout string, err error) {
	t.Helper()
	j := start(t, stdin, args...)
	<-j.done
	return j.stdout.String(), j.err
}

// asProgram makes the test binary be the program, for tests of signals and exit codes.
const asProgram = "HUBWIRE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	testkit.Main(m)
}

// program is hubwire in a process of its own.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self, args...)
	c.Env = append(os.Environ(), asProgram+"=1")
	return c
}
