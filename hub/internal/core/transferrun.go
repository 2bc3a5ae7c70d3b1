package core

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/query"
	"github.com/hubwire/hubwire/sas"
)

// Why an import or export fails. What the container's own error says is not passed on: it
// may hold the URL with its signature.
var (
	errHubEnded = errors.New("the hub ended while the job ran")
	errRead     = errors.New("a blob cannot be read")
	errWrite    = errors.New("a blob cannot be written")
)

// run carries the job out. When the hub ends meanwhile, the next one finds it so.
func (t *transfer) run(ctx context.Context) {
	if !t.advance(0) {
		return
	}
	work := t.exportAll
	if t.info.Type == JobImport {
		work = t.importAll
	}
	err := work(ctx)
	if t.core.life.Err() == nil {
		t.finish(err)
	}
}

// advance notes how far the job is, in parts of a hundred, and returns false when it is over.
func (t *transfer) advance(progress int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.info.Status.Over() {
		return false
	}
	changed := t.info.Status != JobRunning || t.info.Progress != progress
	t.info.Status, t.info.Progress = JobRunning, progress
	if changed {
		t.save()
	}
	return true
}

// finish ends the job, unless it is over, because of why; nil means that it is done.
func (t *transfer) finish(why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.info.Status.Over() {
		return
	}
	t.info.End = time.Now().UTC()
	switch {
	case why == nil:
		t.info.Status, t.info.Progress = JobCompleted, 100
	case errors.Is(why, errJobCancelled):
		t.info.Status = JobCancelled
	default:
		t.info.Status, t.info.FailureReason = JobFailed, why.Error()
	}
	t.save()
	if t.stop != nil {
		t.stop(why)
	}
}

// whyEnded returns why a step failed: because the job was ended, or else for the reason given.
func whyEnded(ctx context.Context, err, reason error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return reason
	}
	return nil
}

func (t *transfer) exportAll(ctx context.Context) error {
	err := t.core.cfg.Containers.Write(ctx, t.info.Output, t.info.OutputBlob, func(w io.Writer) error {
		return t.exportDevices(ctx, w)
	})
	if err == nil && t.info.IncludeConfigurations {
		err = t.core.cfg.Containers.Write(ctx, t.info.Output, t.info.ConfigurationsBlob, func(w io.Writer) error {
			return t.exportConfigurations(ctx, w)
		})
	}
	return whyEnded(ctx, err, errWrite)
}

// exportDevices writes a line for each device, and behind it one for each of its modules.
func (t *transfer) exportDevices(ctx context.Context, w io.Writer) error {
	c := t.core
	c.mu.RLock()
	total := c.devices.n
	c.mu.RUnlock()
	out := bufio.NewWriter(w)
	var line []byte
	done := 0
	all, _ := query.ParseCondition("*") // cannot fail
	for e := range c.candidates(all, hubwire.Identity{}) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, e := range append([]*entity{e}, c.ofDevice(query.Modules, e.id.DeviceID)...) {
			if line = t.appendLine(line[:0], e); len(line) == 0 {
				continue // it is gone since
			}
			if _, err := out.Write(append(line, '\n')); err != nil {
				return err
			}
		}
		if done++; !t.advance(min(99, 100*done/max(1, total))) {
			return errJobCancelled
		}
	}
	return out.Flush()
}

func (t *transfer) appendLine(dst []byte, e *entity) []byte {
	e.mu.Lock()
	defer e.unlock()
	if e.deleted {
		return dst
	}
	var row twinRow
	row.point(e)
	return t.core.cfg.Lines.AppendDevice(dst, e.document(row.t), t.info.ExcludeKeys)
}

func (t *transfer) exportConfigurations(ctx context.Context, w io.Writer) error {
	ks, err := t.core.Configurations(ctx, 2*maxConfigurations)
	if err != nil {
		return err
	}
	for _, k := range ks {
		if _, err := w.Write(append(t.core.cfg.Lines.AppendConfiguration(nil, k), '\n')); err != nil {
			return err
		}
	}
	return nil
}

// importAll reads the blobs, and writes the errors of their lines as it goes.
func (t *transfer) importAll(ctx context.Context) error {
	var failed error
	err := t.core.cfg.Containers.Write(ctx, t.info.Output, importErrorsBlob, func(w io.Writer) error {
		out := bufio.NewWriter(w)
		note := func(e *BulkError) error {
			if _, err := out.Write(append(t.core.cfg.Lines.AppendError(nil, e), '\n')); err != nil {
				return errWrite
			}
			return nil
		}
		failed = t.lines(ctx, t.info.Input, t.info.InputBlob, func(line []byte) error { return t.importDevice(ctx, line, note) })
		if failed == nil && t.info.IncludeConfigurations {
			failed = t.lines(ctx, t.info.Input, t.info.ConfigurationsBlob, func(line []byte) error { return t.importConfiguration(ctx, line, note) })
		}
		return out.Flush() // what was refused so far is worth having
	})
	if failed != nil {
		return whyEnded(ctx, failed, failed)
	}
	return whyEnded(ctx, err, errWrite)
}

// errLongLine is what a line that is longer than maxTransferLine is refused with.
var errLongLine = fmt.Errorf("the line has more than %d bytes", maxTransferLine)

// lines calls do for each line of a blob that is not empty, or with nil for one that is too long.
func (t *transfer) lines(ctx context.Context, container sas.Secret, blob string, do func([]byte) error) error {
	r, size, err := t.core.cfg.Containers.Read(ctx, container, blob)
	if err != nil {
		return errRead
	}
	defer r.Close()
	in := bufio.NewReaderSize(r, maxTransferLine)
	read, inLong := int64(0), false
	for err == nil {
		var part []byte
		part, err = in.ReadSlice('\n')
		line := bytes.TrimSpace(bytes.TrimPrefix(part, []byte("\ufeff")))
		long := errors.Is(err, bufio.ErrBufferFull)
		switch {
		case long:
			err, line = nil, nil
		case err != nil && err != io.EOF:
			return errRead
		}
		if !inLong && (long || len(line) > 0) {
			if err := do(line); err != nil {
				return err
			}
		}
		inLong = long
		if read += int64(len(part)); size > 0 && !t.advance(int(min(99, 100*read/size))) || ctx.Err() != nil {
			return errJobCancelled
		}
	}
	return nil
}

// parse reads a line by one of the functions of [Lines].
func parse[T any](line []byte, read func([]byte) (T, error)) (v T, err error) {
	if line == nil {
		return v, errLongLine
	}
	return read(line)
}

// importDevice carries a line out. Its error is one of note.
func (t *transfer) importDevice(ctx context.Context, line []byte, note func(*BulkError) error) error {
	const op = "import"
	b, err := parse(line, t.core.cfg.Lines.ParseDevice)
	if err != nil {
		return note(&BulkError{Err: refuse(op, hubwire.DeserializationError, "%v", err)})
	}
	if b.Mode == "" {
		b.Mode = defaultImportMode
	}
	if err := t.core.bulk(ctx, op, b); err != nil {
		return note(&BulkError{b.Device.ID, b.Mode, asError(op, err)})
	}
	return nil
}

// importConfiguration creates a configuration, or replaces all but the content of one.
func (t *transfer) importConfiguration(ctx context.Context, line []byte, note func(*BulkError) error) error {
	const op = "import"
	k, err := parse(line, t.core.cfg.Lines.ParseConfiguration)
	if err != nil {
		return note(&BulkError{Err: refuse(op, hubwire.DeserializationError, "%v", err)})
	}
	_, err = t.core.createRule(ctx, op, k)
	if errors.Is(err, hubwire.ConfigurationAlreadyExists) {
		_, err = t.core.updateRule(ctx, op, k, "*")
	}
	if err != nil {
		return note(&BulkError{Err: asError(op, err)})
	}
	return nil
}
