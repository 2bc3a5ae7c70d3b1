package core

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/sas"
)

// Import and export jobs imitate the guide "Import and export IoT Hub device identities in bulk":
// one at a time, identities with their twins as lines of a blob, what an import refuses as lines of
// another. Where the guide is silent: a line that cannot be read, is too long or is refused is
// an error of that line, and the job goes on; an export sees each identity as it is when its
// turn comes; a job that runs when the hub ends has failed. Left out: access to
// containers by a managed identity, which this hub has not.

// Bounds of import and export jobs, all this hub's own.
const (
	maxTransfers    = 100     // jobs that are remembered
	maxTransferLine = 1 << 20 // bytes of a line
)

// The names of blobs, when a job names none.
const (
	devicesBlob        = "devices.txt"
	configurationsBlob = "configurations.txt"
	importErrorsBlob   = "importErrors.log"
)

// The types of import and export jobs.
const (
	JobImport JobType = "import"
	JobExport JobType = "export"
)

// Containers are where import and export jobs read and write. A container is named by its URL,
// which holds a signature. The errors must not hold it. A nil Containers has none.
type Containers interface {
	// Check reports whether the hub can read from a container, or write into it.
	Check(ctx context.Context, container sas.Secret, write bool) error

	// Read opens a blob of size bytes, or -1 when that is not known.
	Read(ctx context.Context, container sas.Secret, blob string) (r io.ReadCloser, size int64, err error)

	// Write makes, or replaces, a blob of what content writes, and returns its error.
	// Nothing of it is there when content fails.
	Write(ctx context.Context, container sas.Secret, blob string, content func(io.Writer) error) error
}

// Lines is the form in which import and export jobs have what they read and write: one
// JSON object for each, without line ends.
type Lines struct {
	AppendDevice        func(dst []byte, d *TwinDocument, excludeKeys bool) []byte
	ParseDevice         func(line []byte) (*BulkOperation, error)
	AppendError         func(dst []byte, e *BulkError) []byte
	AppendConfiguration func(dst []byte, k *Configuration) []byte
	ParseConfiguration  func(line []byte) (*Configuration, error)
}

// Transfer is an import or export job, as a service makes and sees it.
type Transfer struct {
	Type            JobType    // JobImport or JobExport
	Input           sas.Secret // container of an import
	Output          sas.Secret // container of an export, or of the errors of an import
	InputBlob       string     // empty means devices.txt
	OutputBlob      string     // empty means devices.txt
	ExcludeKeys     bool       // of an export
	ManagedIdentity bool       // how the hub is to get at the containers; refused

	IncludeConfigurations bool
	ConfigurationsBlob    string // empty means configurations.txt

	// Set by the hub.
	ID            string
	Start, End    time.Time
	Status        JobStatus
	Progress      int // 0 to 100
	FailureReason string
}

// transfers are all that the Core knows, the oldest first.
type transfers struct {
	mu   sync.Mutex // a leaf
	list []*transfer
	seq  uint64
}

// transfer is an import or export at work.
type transfer struct {
	core *Core
	seq  uint64
	stop context.CancelCauseFunc

	mu      sync.Mutex // a leaf
	info    Transfer
	version uint64
}

// CreateTransfer starts an import or export. Codes: JobQuotaExceeded while there is another,
// BlobContainerValidationError, ManagedIdentityNotEnabled, ArgumentInvalid.
func (c *Core) CreateTransfer(ctx context.Context, want *Transfer) (*Transfer, error) {
	const op = "create import or export job"
	t, err := c.newTransfer(op, want)
	if err != nil {
		return nil, err
	}
	if err := c.Open(op); err != nil {
		return nil, err
	}
	if err := c.checkContainers(ctx, op, &t.info); err != nil {
		return nil, err
	}
	c.transfers.mu.Lock()
	defer c.transfers.mu.Unlock()
	if slices.ContainsFunc(c.transfers.list, func(t *transfer) bool { return !t.snapshot().Status.Over() }) {
		return nil, refuse(op, hubwire.JobQuotaExceeded, "an import or export job is active, which is the limit")
	}
	c.transfers.seq++
	t.seq = c.transfers.seq
	if t.version, err = c.store.Put(ctx, t.key(), t.encode(), 0); err != nil {
		return nil, broken(op, err)
	}
	c.transfers.list = append(c.transfers.list, t)
	if n := len(c.transfers.list); n > maxTransfers {
		c.forgetTransfers(n - maxTransfers)
	}
	run, stop := context.WithCancelCause(c.life)
	t.stop = stop
	first := t.snapshot()
	if !c.timers.run(func() { t.run(run) }) {
		return nil, ended(op, errClosing)
	}
	return first, nil
}

func (c *Core) newTransfer(op string, want *Transfer) (*transfer, error) {
	if want == nil {
		return nil, refuse(op, hubwire.ArgumentInvalid, "the job is nil")
	}
	t := &transfer{core: c, info: *want}
	i := &t.info
	switch {
	case i.Type != JobImport && i.Type != JobExport:
		return nil, refuse(op, hubwire.ArgumentInvalid, "the job type %q is neither import nor export", i.Type)
	case i.ManagedIdentity:
		return nil, refuse(op, hubwire.ManagedIdentityNotEnabled, "this hub has no managed identity")
	}
	for _, b := range []struct {
		name *string
		def  string
	}{{&i.InputBlob, devicesBlob}, {&i.OutputBlob, devicesBlob}, {&i.ConfigurationsBlob, configurationsBlob}} {
		if *b.name == "" {
			*b.name = b.def
		}
		if fault := blobNameFault(*b.name); fault != "" {
			return nil, refuse(op, hubwire.ArgumentInvalid, "blob name: %s", fault)
		}
	}
	i.ID, i.Start, i.End = NewGUID(), time.Now().UTC(), time.Time{}
	i.Status, i.Progress, i.FailureReason = JobEnqueued, 0, ""
	return t, nil
}

// checkContainers sees whether the hub gets at them.
func (c *Core) checkContainers(ctx context.Context, op string, i *Transfer) error {
	bad := func(what string) error {
		return refuse(op, hubwire.BlobContainerValidationError, "the %s container cannot be used: it is not there, or its URL does not allow it", what)
	}
	if c.cfg.Containers == nil || c.cfg.Lines == nil {
		return bad("output")
	}
	if i.Type == JobImport {
		if err := c.cfg.Containers.Check(ctx, i.Input, false); err != nil {
			return bad("input")
		}
	}
	if err := c.cfg.Containers.Check(ctx, i.Output, true); err != nil {
		return bad("output")
	}
	return nil
}

// Transfer returns an import or export job as it is now. The code is JobNotFound when there is none.
func (c *Core) Transfer(id string) (*Transfer, error) {
	t, err := c.transfer("get job", id)
	if err != nil {
		return nil, err
	}
	return t.snapshot(), nil
}

func (c *Core) transfer(op, id string) (*transfer, error) {
	if err := c.Open(op); err != nil {
		return nil, err
	}
	c.transfers.mu.Lock()
	defer c.transfers.mu.Unlock()
	c.sweepTransfers()
	for _, t := range c.transfers.list {
		if t.info.ID == id { // never changes
			return t, nil
		}
	}
	return nil, refuse(op, hubwire.JobNotFound, "there is no job %q", id)
}

// Transfers returns the import and export jobs of late, the oldest first.
func (c *Core) Transfers() ([]*Transfer, error) {
	if err := c.Open("list jobs"); err != nil {
		return nil, err
	}
	c.transfers.mu.Lock()
	defer c.transfers.mu.Unlock()
	c.sweepTransfers()
	out := make([]*Transfer, 0, len(c.transfers.list))
	for _, t := range c.transfers.list {
		out = append(out, t.snapshot())
	}
	return out, nil
}

// CancelTransfer ends an import or export. What was imported stays; of an export nothing is
// left. A job that is over stays as it is. The code is JobNotFound when there is none.
func (c *Core) CancelTransfer(id string) (*Transfer, error) {
	t, err := c.transfer("cancel job", id)
	if err != nil {
		return nil, err
	}
	if t.snapshot().Status.Over() {
		return t.snapshot(), nil
	}
	t.stop(errJobCancelled)
	t.finish(errJobCancelled)
	return t.snapshot(), nil
}

// sweepTransfers forgets the jobs that were over too long ago. The caller holds the lock.
func (c *Core) sweepTransfers() {
	n := 0
	for _, t := range c.transfers.list {
		if s := t.snapshot(); s.End.IsZero() || time.Since(s.End) < JobHistory {
			break
		}
		n++
	}
	c.forgetTransfers(n)
}

// forgetTransfers drops the n oldest jobs, which are over. The caller holds the lock.
func (c *Core) forgetTransfers(n int) {
	for _, t := range c.transfers.list[:n] {
		if err := c.store.Delete(context.Background(), t.key()); err != nil {
			c.cfg.Log.Error("jobs: a job was not deleted", "error", err)
		}
	}
	c.transfers.list = slices.Delete(c.transfers.list, 0, n)
}

func (t *transfer) key() store.Key { return store.Key{Kind: store.Transfers, Seq: t.seq} }

func (t *transfer) snapshot() *Transfer {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.info
	return &s
}

// transferRecord is a [Transfer] as the store keeps it: with the URLs of its containers in
// clear, which a [sas.Secret] does not let through.
type transferRecord struct {
	Transfer
	Input  string
	Output string
}

func (t *transfer) encode() []byte {
	b, _ := json.Marshal(transferRecord{t.info, t.info.Input.Reveal(), t.info.Output.Reveal()}) // text: cannot fail
	return b
}

// save stores the job, as [job.save] does. The caller holds the lock.
func (t *transfer) save() {
	v, err := t.core.store.Put(context.Background(), t.key(), t.encode(), t.version)
	if err != nil {
		t.core.cfg.Log.Error("jobs: a job was not stored", "job", t.info.ID, "error", err)
		return
	}
	t.version = v
}

func (c *Core) loadTransfer(r store.Record) error {
	var rec transferRecord
	if err := json.Unmarshal(r.Value, &rec); err != nil {
		return err
	}
	t := &transfer{core: c, seq: r.Key.Seq, version: r.Version, info: rec.Transfer}
	t.info.Input, t.info.Output = sas.NewSecret(rec.Input), sas.NewSecret(rec.Output)
	c.transfers.list = append(c.transfers.list, t)
	c.transfers.seq = t.seq
	if !t.info.Status.Over() {
		t.finish(errHubEnded)
	}
	return nil
}
