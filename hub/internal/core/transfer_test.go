package core

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

// shelf is containers in memory, whose URLs are "https://host/name?sig=hidden".
type shelf struct {
	mu    sync.Mutex
	blobs map[string]string // by container and name
	slow  chan struct{}     // reads wait for it, unless it is nil
	full  bool              // writes fail
}

var errShelf = errors.New("get https://host/in?sig=hidden: refused")

func (s *shelf) Check(_ context.Context, container sas.Secret, write bool) error {
	if container.IsZero() || write && strings.Contains(container.Reveal(), "readonly") {
		return errShelf
	}
	return nil
}

func (s *shelf) Read(ctx context.Context, container sas.Secret, blob string) (io.ReadCloser, int64, error) {
	if s.slow != nil {
		select {
		case <-s.slow:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	text, ok := s.blobs[container.Reveal()+blob]
	if !ok {
		return nil, 0, errShelf
	}
	return io.NopCloser(strings.NewReader(text)), int64(len(text)), nil
}

func (s *shelf) Write(_ context.Context, container sas.Secret, blob string, content func(io.Writer) error) error {
	var b bytes.Buffer
	if err := content(&b); err != nil {
		return err
	}
	if s.full {
		return errShelf
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blobs[container.Reveal()+blob] = b.String()
	return nil
}

func (s *shelf) lines(container, blob string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, ok := s.blobs[container+blob]
	if !ok {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// testLine is a form of lines for tests; what is real is of the front.
type testLine struct {
	ID, Module, Key, Mode string          `json:",omitempty"`
	Tags                  json.RawMessage `json:",omitempty"`
	Configuration         *Configuration  `json:",omitempty"`
}

var testLines = &Lines{
	AppendDevice: func(dst []byte, d *TwinDocument, excludeKeys bool) []byte {
		l := testLine{ID: d.Device.ID.DeviceID, Module: d.Device.ID.ModuleID, Key: d.Device.Auth.Primary.Reveal(), Tags: d.Twin.Tags}
		if excludeKeys {
			l.Key = ""
		}
		b, _ := json.Marshal(l)
		return append(dst, b...)
	},
	ParseDevice: func(line []byte) (*BulkOperation, error) {
		var l testLine
		if err := json.Unmarshal(line, &l); err != nil {
			return nil, err
		}
		return &BulkOperation{Mode: BulkMode(l.Mode), Device: Device{ID: hubwire.Identity{DeviceID: l.ID, ModuleID: l.Module}, Auth: Auth{Primary: sas.NewSecret(l.Key)}}, Twin: &TwinUpdate{Tags: l.Tags}}, nil
	},
	AppendError: func(dst []byte, e *BulkError) []byte {
		return fmt.Appendf(dst, "%s %d", e.ID, int(e.Err.Code))
	},
	AppendConfiguration: func(dst []byte, k *Configuration) []byte {
		b, _ := json.Marshal(testLine{Configuration: k})
		return append(dst, b...)
	},
	ParseConfiguration: func(line []byte) (*Configuration, error) {
		var l testLine
		return l.Configuration, json.Unmarshal(line, &l)
	},
}

const (
	inURL  = "https://host/in?sig=hidden"
	outURL = "https://host/out?sig=hidden"
)

func transferCore(t *testing.T, s store.Store) (*Core, *shelf) {
	t.Helper()
	sh := &shelf{blobs: map[string]string{}}
	return newCoreOn(t, &Config{Containers: sh, Lines: testLines}, s), sh
}

func export() *Transfer { return &Transfer{Type: JobExport, Output: sas.NewSecret(outURL)} }

func importOf(sh *shelf, lines ...string) *Transfer {
	sh.blobs[inURL+"devices.txt"] = strings.Join(lines, "\n")
	return &Transfer{Type: JobImport, Input: sas.NewSecret(inURL), Output: sas.NewSecret(outURL)}
}

// transferred runs a job to its end.
func transferred(t *testing.T, c *Core, want *Transfer) *Transfer {
	t.Helper()
	first, err := c.CreateTransfer(ctx, want)
	if err != nil {
		t.Fatalf("CreateTransfer: %v", err)
	}
	if first.Status != JobEnqueued || first.ID == "" || first.Start.IsZero() {
		t.Errorf("at first it is %+v", first)
	}
	synctest.Wait()
	last, err := c.Transfer(first.ID)
	must(t, err)
	return last
}

func TestTheRegistryIsExportedAndImported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sh := transferCore(t, store.NewMemory(nil))
		tag(t, c, dev, `{"a":1}`)
		several(t, c, 1)
		k := forDevice("k", "tags.a = 1", 1, ".b", "2")
		configure(t, c, k)
		job := export()
		job.IncludeConfigurations = true
		if done := transferred(t, c, job); done.Status != JobCompleted || done.Progress != 100 || done.End.IsZero() {
			t.Errorf("export: %+v", done)
		}
		lines := sh.lines(outURL, "devices.txt")
		d, _ := c.Device(dev)
		if len(lines) != 3 || !strings.Contains(lines[0], d.Auth.Primary.Reveal()) || !strings.Contains(lines[0], `"a":1`) || !strings.Contains(lines[1], `"Module":"mod"`) || !strings.Contains(lines[2], "f0000") {
			t.Errorf("lines: %v", lines)
		}

		next, sh2 := transferCore(t, store.NewMemory(nil))
		must(t, next.Delete(ctx, dev, "*"))
		in := importOf(sh2, lines...)
		in.IncludeConfigurations = true
		sh2.blobs[inURL+"configurations.txt"] = strings.Join(sh.lines(outURL, "configurations.txt"), "\n")
		if done := transferred(t, next, in); done.Status != JobCompleted || done.Progress != 100 {
			t.Errorf("import: %+v", done)
		}
		if got := sh2.lines(outURL, "importErrors.log"); len(got) != 1 || got[0] != "" {
			t.Errorf("errors: %q", got)
		}
		if n, err := next.Device(dev); err != nil || !n.Auth.Primary.Equal(d.Auth.Primary) {
			t.Errorf("the device has another key, or %v", err)
		}
		wantDesired(t, next, dev, `{"b":2}`, states{"k": "Applied"})
		if done := transferred(t, next, in); done.Status != JobCompleted { // again, over what is there
			t.Errorf("import: %+v", done)
		}

		job.ExcludeKeys, job.OutputBlob, job.IncludeConfigurations = true, "other.txt", false
		transferred(t, c, job)
		if lines := sh.lines(outURL, "other.txt"); len(lines) != 3 || strings.Contains(lines[0], "Key") {
			t.Errorf("without keys: %v", lines)
		}
	})
}

func TestAnImportGoesOnBehindALineThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sh := transferCore(t, store.NewMemory(nil))
		done := transferred(t, c, importOf(sh, "\ufeff"+`{"ID":"one"}`, `{`, "", `{"ID":"dev","Mode":"create"}`, `{"ID":"none","Mode":"delete"}`, `{"ID":"two"}`+"\r", `{"ID":"one","Mode":"updateTwin","Tags":{"t":1}}`))
		if done.Status != JobCompleted {
			t.Errorf("import: %+v", done)
		}
		if diff := cmp.Diff([]string{" 400012", "dev 409001", "none 404001"}, sh.lines(outURL, "importErrors.log")); diff != "" {
			t.Errorf("errors (-want +got):\n%s", diff)
		}
		if twinText(c, hubwire.Identity{DeviceID: "one"}) != `{"t":1}{}` || twinText(c, hubwire.Identity{DeviceID: "two"}) != `{}{}` {
			t.Error("not all was imported")
		}
	})
}

func TestAnImportGoesOnBehindALineThatIsTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sh := transferCore(t, store.NewMemory(nil))
		long := func(n int) string { return `{"ID":"long"` + strings.Repeat(" ", n) + "}" }
		done := transferred(t, c, importOf(sh, `{"ID":"one"}`, long(maxTransferLine), `{"ID":"two"}`, long(5*maxTransferLine), long(maxTransferLine/2), long(maxTransferLine)))
		if done.Status != JobCompleted {
			t.Errorf("import: %+v", done)
		}
		if diff := cmp.Diff([]string{" 400012", " 400012", " 400012"}, sh.lines(outURL, "importErrors.log")); diff != "" {
			t.Errorf("errors (-want +got):\n%s", diff)
		}
		for _, id := range []string{"one", "two", "long"} {
			if c.entity(hubwire.Identity{DeviceID: id}) == nil {
				t.Errorf("%s was not imported", id)
			}
		}
	})
}

func TestATransferIsRefused(t *testing.T) {
	with := func(edit func(*Transfer)) *Transfer {
		t := &Transfer{Type: JobImport, Input: sas.NewSecret(inURL), Output: sas.NewSecret(outURL)}
		edit(t)
		return t
	}
	c, _ := transferCore(t, store.NewMemory(nil))
	for _, tt := range []struct {
		name string
		job  *Transfer
		code hubwire.Code
	}{
		{"that is nil", nil, hubwire.ArgumentInvalid},
		{"of another type", with(func(t *Transfer) { t.Type = JobUpdateTwin }), hubwire.ArgumentInvalid},
		{"by a managed identity", with(func(t *Transfer) { t.ManagedIdentity = true }), hubwire.ManagedIdentityNotEnabled},
		{"without an input", with(func(t *Transfer) { t.Input = sas.Secret{} }), hubwire.BlobContainerValidationError},
		{"without an output", with(func(t *Transfer) { t.Output = sas.Secret{} }), hubwire.BlobContainerValidationError},
		{"with an output that cannot be written", with(func(t *Transfer) { t.Output = sas.NewSecret("readonly") }), hubwire.BlobContainerValidationError},
		{"with a blob name that is too long", with(func(t *Transfer) { t.InputBlob = strings.Repeat("b", 2000) }), hubwire.ArgumentInvalid},
	} {
		_, err := c.CreateTransfer(ctx, tt.job)
		wantCode(t, "a transfer "+tt.name, err, tt.code)
		if err != nil && strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: the error has a signature", tt.name)
		}
	}
	if ts, err := c.Transfers(); err != nil || len(ts) != 0 {
		t.Errorf("Transfers = %v, %v", ts, err)
	}
	_, err := newCore(t, nil).CreateTransfer(ctx, export())
	wantCode(t, "a transfer of a hub without containers", err, hubwire.BlobContainerValidationError)
	_, err = c.Transfer("none")
	wantCode(t, "a get", err, hubwire.JobNotFound)
	_, err = c.CancelTransfer("none")
	wantCode(t, "a cancel", err, hubwire.JobNotFound)
	testkit.Hides(t, "a transfer", inURL, with(func(*Transfer) {}))
}

func TestATransferFails(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		full       bool
		lines      []string
	}{
		{"when its blob is not there", "a blob cannot be read", false, nil},
		{"when its errors cannot be written", "a blob cannot be written", true, []string{`{`}},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, sh := transferCore(t, store.NewMemory(nil))
			job := importOf(sh, tt.lines...)
			if tt.lines == nil {
				delete(sh.blobs, inURL+"devices.txt")
			}
			sh.full = tt.full
			if done := transferred(t, c, job); done.Status != JobFailed || done.FailureReason != tt.want || done.End.IsZero() {
				t.Errorf("%s: %+v", tt.name, done)
			}
		})
	}
}

func TestOneTransferAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory(nil)
		c, sh := transferCore(t, s)
		sh.slow = make(chan struct{})
		first, err := c.CreateTransfer(ctx, importOf(sh, `{"ID":"one"}`))
		must(t, err)
		synctest.Wait()
		_, err = c.CreateTransfer(ctx, export())
		wantCode(t, "a second one", err, hubwire.JobQuotaExceeded)
		if now, _ := c.Transfer(first.ID); now.Status != JobRunning {
			t.Errorf("it is %s", now.Status)
		}
		for range 2 {
			if now, err := c.CancelTransfer(first.ID); err != nil || now.Status != JobCancelled || now.End.IsZero() {
				t.Errorf("CancelTransfer = %+v, %v", now, err)
			}
		}
		synctest.Wait()
		if c.entity(hubwire.Identity{DeviceID: "one"}) != nil {
			t.Error("a job that was cancelled went on")
		}
		done := transferred(t, c, export())
		if now, err := c.CancelTransfer(done.ID); err != nil || now.Status != JobCompleted {
			t.Errorf("CancelTransfer of one that is over = %+v, %v", now, err)
		}
		last, err := c.CreateTransfer(ctx, importOf(sh, `{"ID":"one"}`))
		must(t, err)
		synctest.Wait()
		c.Close()

		c, _ = transferCore(t, s)
		ts, err := c.Transfers()
		must(t, err)
		if len(ts) != 3 || ts[0].Status != JobCancelled || ts[1].Status != JobCompleted || ts[2].ID != last.ID || ts[2].Status != JobFailed || ts[2].Input.Reveal() != inURL {
			t.Errorf("after the hub ended: %+v", ts)
		}
		time.Sleep(JobHistory)
		if ts, _ := c.Transfers(); len(ts) != 0 {
			t.Errorf("after thirty days: %v", ts)
		}
	})
}
