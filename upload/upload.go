package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/hubwire/hubwire/device"
)

// File uploads a file of the disk as the blob {device id}/{blobName}. o may be nil. A file that changes
// meanwhile is ErrChanged.
//
// The error is a [*hubwire.Error] where the hub or the way to it is at fault, for instance with code
// [hubwire.MaxActiveFileUploadExceeded], and an [*azcore.ResponseError] where the account is. When the
// hub could not be told of the failure, the error says that too.
func File(ctx context.Context, c *device.Client, blobName, path string, o *Options) (*Result, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("upload: %w", err)
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("upload: %w", err)
	}
	if !before.Mode().IsRegular() {
		return Stream(ctx, c, blobName, f, o)
	}
	same := func() error {
		after, err := f.Stat()
		if err != nil {
			return err
		}
		if after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
			return ErrChanged
		}
		return nil
	}
	return start(ctx, c, blobName, source{f, before.Size(), same}, o)
}

// At uploads size bytes of r, from its beginning. It is otherwise as [File].
func At(ctx context.Context, c *device.Client, blobName string, r io.ReaderAt, size int64, o *Options) (*Result, error) {
	if r == nil || size < 0 {
		return nil, bad("there is nothing to read")
	}
	return start(ctx, c, blobName, source{io.NewSectionReader(r, 0, size), size, nil}, o)
}

// Stream uploads what r has, up to its end, which only io.EOF is: a source that was cut off, and says
// io.ErrUnexpectedEOF, makes no blob. To go on with an upload that was interrupted, r
// has to begin anew. A Read that blocks outlasts ctx. It is otherwise as [File].
func Stream(ctx context.Context, c *device.Client, blobName string, r io.Reader, o *Options) (*Result, error) {
	if r == nil {
		return nil, bad("there is nothing to read")
	}
	return start(ctx, c, blobName, source{r, -1, nil}, o)
}

// source is what is uploaded.
type source struct {
	io.Reader
	size int64        // -1 when unknown
	same func() error // says whether it is still as it was; nil when nobody knows
}

// check is called when all of n bytes were read.
func (s *source) check(n int64) error {
	if s.size >= 0 && n != s.size {
		return ErrChanged
	}
	if s.same == nil {
		return nil
	}
	return s.same()
}

func start(ctx context.Context, c *device.Client, blobName string, src source, o *Options) (*Result, error) {
	if ctx == nil {
		return nil, bad("the context is nil")
	}
	opts, err := o.resolve(blobName, src.size)
	if err != nil {
		return nil, err
	}
	s := &session{o: opts, device: c, name: blobName, renewing: make(chan struct{}, 1)}
	s.leaveOld(ctx)
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	r, err := newTransfer(s, src).run(ctx)
	if err == nil {
		err = s.complete(ctx)
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return r, nil
}

// statusOf is what the hub is told of an error: the account's status, or that of a client
// that went away.
func statusOf(err error) (int, string) {
	var e *azcore.ResponseError
	switch {
	case errors.As(err, &e):
		return e.StatusCode, e.ErrorCode
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return 499, "the upload was cancelled"
	case errors.Is(err, ErrChanged), errors.Is(err, ErrTooLarge):
		return http.StatusBadRequest, err.Error()
	}
	return -1, "the upload failed"
}
