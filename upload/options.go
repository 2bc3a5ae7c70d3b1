package upload

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
)

// Limits of a block blob.
// Source: "Scalability and performance targets for Blob storage".
const (
	maxBlocks    = 50_000
	maxBlockSize = int64(4000 << 20)
)

// Options adjust an upload. The zero value, and nil, mean the defaults.
type Options struct {
	// BlockSize is the size of a block, in bytes, at most 4000 MiB. 0 means 4 MiB. Where the size of
	// the file is known, it is made larger when that would be more than 50,000 blocks.
	BlockSize int64

	// Concurrency is how many blocks travel at a time. 0 means 4.
	Concurrency int

	// Verify has the account hold each block against a checksum (CRC-64) that goes with it, beside
	// what TLS does. It costs half a second a GiB at each end.
	Verify bool

	// ContentType is that of the blob. Empty means application/octet-stream.
	ContentType string

	// Metadata goes with the blob. Names are identifiers, and have no case.
	Metadata map[string]string

	// Retries is how often a request to the account is tried again, after a wait that
	// grows from 1 s to 30 s. 0 means 8; negative, not at all.
	Retries int

	// NotifyTimeout is how long the hub may take to hear that an upload failed, whose context has
	// perhaps ended. 0 means 10 s.
	NotifyTimeout time.Duration

	// Progress is told how far the upload is, one call at a time, and must return soon. A panic
	// in it, or in Started, ends the upload.
	Progress func(Progress)

	// Started is called with the State of the upload, before the first block and again
	// when the token was replaced, one call at a time. An error ends the upload.
	Started func(State) error

	// Resume is the State of an upload that ended with its process. The hub then hears that it
	// failed, and BlockSize is that of the State.
	Resume *State
}

// State is what is worth keeping of an upload that may end with its process. It holds no secret,
// and can be encoded as JSON.
type State struct {
	BlobName      string `json:"blobName"`      // as the caller gave it
	CorrelationID string `json:"correlationId"` // what the hub knows it by
	BlockSize     int64  `json:"blockSize"`     // that the blocks were cut with, in bytes
}

// Progress is how far an upload is.
type Progress struct {
	Done    int64 // bytes that have travelled, or were there already
	Skipped int64 // those among them that were there already
	Total   int64 // bytes of the file, or -1 when that is not known
}

// Result is an upload that succeeded.
type Result struct {
	BlobName string // {device id}/{name}
	Size     int64  // of the blob, in bytes
	Skipped  int64  // bytes that an earlier upload had left there
	ETag     string // of the blob, as the account has it
}

// Errors, under [errors.Is], beside those of packages device and azblob.
var (
	ErrChanged  = errors.New("upload: the file has changed while it was read")
	ErrTooLarge = errors.New("upload: the file has more than 50,000 blocks; choose a larger BlockSize")
	ErrArgument = errors.New("upload: an argument makes no sense")
)

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrArgument}, args...)...)
}

// resolve returns o with the defaults filled in, for an upload of blobName of size bytes, -1 when unknown.
func (o *Options) resolve(blobName string, size int64) (Options, error) {
	var r Options
	if o != nil {
		r = *o
	}
	if r.Resume != nil {
		if r.Resume.BlobName != blobName {
			return r, bad("Options.Resume is of the blob %q", r.Resume.BlobName)
		}
		r.BlockSize = r.Resume.BlockSize
	}
	r.BlockSize = cmp.Or(r.BlockSize, 4<<20)
	r.Concurrency = cmp.Or(r.Concurrency, 4)
	r.Retries = cmp.Or(r.Retries, 8)
	r.NotifyTimeout = cmp.Or(r.NotifyTimeout, 10*time.Second)
	if r.BlockSize < 1 || r.BlockSize > maxBlockSize {
		return r, bad("Options.BlockSize is %d, not 1 to %d", r.BlockSize, maxBlockSize)
	}
	if r.Concurrency < 1 || r.NotifyTimeout < 0 {
		return r, bad("Options.Concurrency is %d, NotifyTimeout %v", r.Concurrency, r.NotifyTimeout)
	}
	if err := r.checkHeaders(); err != nil {
		return r, err
	}
	const step = 1 << 20
	if least := (size + maxBlocks - 1) / maxBlocks; least > r.BlockSize {
		r.BlockSize = (least + step - 1) / step * step
	}
	if r.BlockSize > maxBlockSize {
		return r, ErrTooLarge
	}
	return r, nil
}

// checkHeaders finds what no request could carry, and the account's client would try again and again.
func (o *Options) checkHeaders() error {
	if strings.ContainsFunc(o.ContentType, unicode.IsControl) {
		return bad("Options.ContentType has a control character")
	}
	for name, value := range o.Metadata {
		switch {
		case !identifier.MatchString(name):
			return bad("Options.Metadata: %.80q is no identifier", name)
		case strings.ContainsFunc(value, unicode.IsControl):
			return bad("Options.Metadata: the value of %.80q has a control character", name)
		}
	}
	return nil
}

// identifier is what a name of metadata is, in ASCII as all names of headers.
// Source: "Setting and retrieving properties and metadata for Blob service resources".
var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
