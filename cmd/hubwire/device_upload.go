package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/upload"
)

// uploadFlags are the flags of hubwire device upload.
type uploadFlags struct {
	blob     string
	resume   string
	blockMiB int64
	metadata []string
	o        upload.Options
}

func newDeviceUpload(d *deviceFlags) *cobra.Command {
	var f uploadFlags
	c := &cobra.Command{
		Use:   "upload FILE",
		Short: "Upload a file to the hub's storage, in blocks",
		Long: `Upload a file to the hub's storage, as the blob {device id}/{name}: the hub is asked for
a place, the blocks go there, some at a time, each with its checksum, and the hub is told
how that went. FILE "-" is stdin, and needs --blob.

An upload that was broken off goes on where it was when the same command is given again
within a week: blocks that are there already are not sent again. --resume keeps a file
beside it (which holds no secret) so that also the place is given back that a killed
program has taken up: a device has ten.

The protocol is https, when --transport names no other: all of an upload goes over HTTPS.
On a terminal there is a progress bar, else a line each second.`,
		Example: `  hubwire device upload --device-id dev-1 --resume /var/tmp/log.upload --blob logs/today.gz /var/log/x.gz`,
		Args:    arguments("FILE"),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if err := f.check(d, args[0]); err != nil {
				return err
			}
			if !c.Flags().Changed("transport") {
				d.transport = overHTTPS
			}
			client, err := d.dial(c)
			if err != nil {
				return err
			}
			defer closing(client, &err)
			return f.run(c, client, args[0])
		},
	}
	fs := c.Flags()
	fs.StringVar(&f.blob, "blob", "", "the name of the blob, without the device's id (default the file's name)")
	fs.StringVar(&f.resume, "resume", "", "keep the state of the upload in this file until it has succeeded, and go on with the one that is in it")
	fs.Int64Var(&f.blockMiB, "block-size", 4, "size of a block, in MiB")
	fs.IntVar(&f.o.Concurrency, "concurrency", 4, "how many blocks travel at a time")
	fs.StringVar(&f.o.ContentType, "content-type", "", `of the blob (default "application/octet-stream")`)
	fs.StringArrayVar(&f.metadata, "metadata", nil, "NAME=VALUE that goes with the blob (repeatable)")
	return c
}

// check reads the flags for the upload of a file.
func (f *uploadFlags) check(d *deviceFlags, file string) (err error) {
	const mostMiB = 4000 // of a block
	switch {
	case f.blockMiB < 1 || f.blockMiB > mostMiB:
		return fmt.Errorf("--block-size is %d, not 1 to %d", f.blockMiB, mostMiB)
	case f.o.Concurrency < 1:
		return fmt.Errorf("--concurrency is %d, the least is 1", f.o.Concurrency)
	case file == "-" && d.connectionString == "-":
		return errStdinTwice
	case file == "-" && f.blob == "":
		return errors.New("what stdin has needs a name: --blob")
	case f.blob == "":
		f.blob = filepath.Base(file)
	}
	if f.o.Metadata, err = pairs("metadata", f.metadata); err != nil {
		return err
	}
	if file != "-" {
		if _, err := os.Stat(file); err != nil {
			return err
		}
	}
	f.o.BlockSize = f.blockMiB << 20
	return f.readState()
}

// readState reads the state of an earlier upload, if there is one.
func (f *uploadFlags) readState() error {
	if f.resume == "" {
		return nil
	}
	f.o.Started = f.writeState
	text, err := os.ReadFile(f.resume)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("--resume: %w", err)
	}
	s := new(upload.State)
	if err := json.Unmarshal(text, s); err != nil || s.CorrelationID == "" {
		return fmt.Errorf("--resume: %s does not hold the state of an upload, and is left alone", f.resume)
	}
	if s.BlobName != f.blob {
		return fmt.Errorf("--resume: %s is of the blob %s, not of %s", f.resume, printable(s.BlobName), printable(f.blob))
	}
	f.o.Resume = s
	return nil
}

// writeState writes under another name first, so that there is never half a state.
func (f *uploadFlags) writeState(s upload.State) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	part := f.resume + ".part"
	if err := os.WriteFile(part, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("--resume: %w", err)
	}
	if err := os.Rename(part, f.resume); err != nil {
		return fmt.Errorf("--resume: %w", err)
	}
	return nil
}

func (f *uploadFlags) run(c *cobra.Command, client *device.Client, file string) error {
	m := newMeter()
	f.o.Progress = m.set
	stop := m.show(c.ErrOrStderr())
	start := time.Now()
	r, err := f.upload(c.Context(), c.InOrStdin(), client, file)
	stop()
	if err != nil {
		if errors.Is(err, context.Canceled) {
			fmt.Fprintln(c.ErrOrStderr(), "the same command goes on from here")
		}
		return err
	}
	if f.resume != "" {
		if err := ignoreMissing(os.Remove(f.resume)); err != nil {
			return fmt.Errorf("--resume: %w", err)
		}
	}
	var b strings.Builder
	took := time.Since(start)
	fmt.Fprintf(&b, "uploaded %s to %s after %v", plural(int(r.Size), "byte"), printable(r.BlobName), took.Round(time.Millisecond))
	if r.Skipped > 0 {
		fmt.Fprintf(&b, "; %s of them were there already", sizeText(r.Skipped))
	}
	fmt.Fprintln(c.OutOrStdout(), b.String())
	return nil
}

func (f *uploadFlags) upload(ctx context.Context, stdin io.Reader, client *device.Client, file string) (*upload.Result, error) {
	if file == "-" {
		return upload.Stream(ctx, client, f.blob, stdin, &f.o)
	}
	return upload.File(ctx, client, f.blob, file, &f.o)
}
