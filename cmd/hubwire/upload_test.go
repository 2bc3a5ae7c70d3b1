package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/upload"
)

// randomish is n bytes of which no two blocks are the same.
func randomish(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

func fileOf(t *testing.T, b []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file.bin")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// notified takes the next notification of an upload, which has to be of that blob and size.
func notified(t *testing.T, h *hub.Hub, blob string, size int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, err := h.FileNotification(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if n.BlobName != blob || n.Size != int64(size) {
		t.Errorf("the hub tells of %s with %d bytes, want %s with %d", n.BlobName, n.Size, blob, size)
	}
}

func TestUploadOverEachProtocol(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			h := localHub(t)
			content := randomish(3<<20 + 5)
			out, err := command(t, "", "device", "upload", "--device-id", "dev-1", "--transport", p.name, "--block-size", "1", fileOf(t, content))
			if err != nil || !strings.HasPrefix(out, "uploaded 3145733 bytes to dev-1/file.bin after ") {
				t.Errorf("it printed %q, %v", out, err)
			}
			notified(t, h, "dev-1/file.bin", len(content))
			out, err = command(t, "from stdin", "device", "upload", "--device-id", "dev-1", "--transport", p.name, "--blob", "a/b", "-")
			if err != nil || !strings.HasPrefix(out, "uploaded 10 bytes to dev-1/a/b after ") {
				t.Errorf("it printed %q, %v", out, err)
			}
			notified(t, h, "dev-1/a/b", len("from stdin"))
		})
	}
}

// TestUploadGoesOn breaks an upload off after some of its blocks, and gives the same command again.
func TestUploadGoesOn(t *testing.T) {
	var blocks atomic.Int32
	halfway := make(chan struct{})
	h := localHubWith(t, &hub.Config{Intercept: func(ctx context.Context, op *hub.Op) hub.Verdict {
		if op.Kind == hub.OpRequest && strings.HasPrefix(op.Name, "PUT /device-uploads/") && blocks.Add(1) == 4 {
			close(halfway)
			<-ctx.Done() // until the command is broken off
		}
		return hub.Verdict{}
	}})
	file, state := fileOf(t, randomish(8<<20)), filepath.Join(t.TempDir(), "state")
	args := []string{"device", "upload", "--device-id", "dev-1", "--block-size", "1", "--concurrency", "1", "--resume", state, file}
	j := start(t, "", args...)
	select {
	case <-halfway:
	case <-j.done:
		t.Fatalf("it ended with %v", j.err)
	}
	if err := j.interrupt(); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if !strings.Contains(j.stderr.String(), "the same command goes on from here\n") {
		t.Errorf("it says nothing of going on:\n%s", j.stderr)
	}
	if text, err := os.ReadFile(state); err != nil || !strings.Contains(string(text), `"blobName":"file.bin"`) {
		t.Errorf("the state is %s, %v", text, err)
	}
	out, err := command(t, "", args...)
	if err != nil || !strings.Contains(out, "; 3.0 MiB of them were there already\n") {
		t.Errorf("it printed %q, %v", out, err)
	}
	notified(t, h, "dev-1/file.bin", 8<<20)
	if _, err := os.Stat(state); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state is still there: %v", err)
	}
}

func TestUploadMistakesGiveOneClearLine(t *testing.T) {
	localHub(t)
	dir := t.TempDir()
	other, broken := filepath.Join(dir, "other"), filepath.Join(dir, "broken")
	for path, text := range map[string]string{other: `{"blobName":"b","correlationId":"c","blockSize":1}`, broken: "precious"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, missing := fileOf(t, []byte("x")), filepath.Join(dir, "missing")
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"no file", nil, "hubwire device upload takes FILE, and there are 0 arguments"},
		{"a file that is not there", []string{missing}, "stat " + missing},
		{"stdin without a name", []string{"-"}, "what stdin has needs a name: --blob"},
		{"blocks of nothing", []string{file, "--block-size", "0"}, "--block-size is 0, not 1 to 4000"},
		{"nothing at a time", []string{file, "--concurrency", "0"}, "--concurrency is 0, the least is 1"},
		{"metadata without a value", []string{file, "--metadata", "x"}, `--metadata "x" is not NAME=VALUE`},
		{"a state that is none", []string{file, "--resume", broken}, "--resume: " + broken + " does not hold the state of an upload"},
		{"the state of another", []string{file, "--resume", other}, "--resume: " + other + " is of the blob b, not of file.bin"},
		{"a name that is too long", []string{file, "--blob", strings.Repeat("x", 2000)}, "hubwire: initiate upload: 400004"},
		{"a module", []string{file, "--module-id", "m"}, "hubwire: initiate upload: 400003 InvalidOperation, not sent: modules do not upload files"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := command(t, "", append([]string{"device", "upload", "--device-id", "dev-1"}, tt.args...)...)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
	if text, err := os.ReadFile(broken); err != nil || !bytes.Equal(text, []byte("precious")) {
		t.Errorf("what was no state is now %q, %v", text, err)
	}
}

func TestMeter(t *testing.T) {
	m := newMeter()
	for _, tt := range []struct {
		now       upload.Progress
		text, bar string
	}{
		{upload.Progress{}, "uploaded 0 bytes", "uploaded 0 bytes"},
		{upload.Progress{Done: 1, Total: -1}, "uploaded 1 byte", "uploaded 1 byte"},
		{upload.Progress{Done: 1 << 20, Total: 1 << 20}, "uploaded 1.0 MiB of 1.0 MiB", "[##############################] 100 % uploaded 1.0 MiB of 1.0 MiB"},
		{upload.Progress{Done: 1536, Skipped: 1536, Total: 3072}, "uploaded 1.5 KiB of 3.0 KiB", "[###############---------------]  50 % uploaded 1.5 KiB of 3.0 KiB"},
	} {
		m.set(tt.now)
		if got := m.text(); got != tt.text {
			t.Errorf("%+v is %q, want %q", tt.now, got, tt.text)
		}
		if got := m.bar(); got != tt.bar {
			t.Errorf("%+v is %q, want %q", tt.now, got, tt.bar)
		}
	}
	m.start = time.Now().Add(-10 * time.Second)
	m.set(upload.Progress{Done: 36 << 20, Skipped: 1 << 20, Total: 71 << 20})
	if got := m.text(); got != "uploaded 36.0 MiB of 71.0 MiB, 3.5 MiB/s, 10s left" {
		t.Errorf("under way it is %q", got)
	}
}

func TestNoBarWhereNobodyLooks(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if isTerminal(null) || isTerminal(file) || isTerminal(new(bytes.Buffer)) {
		t.Error("one of them counts as a terminal")
	}
}
