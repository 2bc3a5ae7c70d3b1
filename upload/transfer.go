package upload

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"hash/crc64"
	"io"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
)

// crcTable is that of the account's CRC-64, which is neither ISO's nor ECMA's.
var crcTable = crc64.MakeTable(0x9A6C9329AC4BC9B5)

// transfer reads a source and writes a blob.
type transfer struct {
	*session
	src     source
	buffers chan []byte // as many as blocks may travel; nil is one that is not made yet

	there    map[string]bool // ids of the blocks that the account has
	progress progress

	wg   sync.WaitGroup
	stop context.CancelCauseFunc
	ids  []*string // of the blocks, in their order; each is set by who sends it
}

func newTransfer(s *session, src source) *transfer {
	t := &transfer{session: s, src: src, buffers: make(chan []byte, s.o.Concurrency)}
	t.progress = progress{now: Progress{Total: src.size}, tell: s.o.Progress}
	for range s.o.Concurrency {
		t.buffers <- nil
	}
	return t
}

// run uploads all of the source.
func (t *transfer) run(ctx context.Context) (*Result, error) {
	ctx, t.stop = context.WithCancelCause(ctx)
	defer t.stop(nil)
	t.progress.fail = t.stop
	r, err := t.all(ctx)
	if cause := context.Cause(ctx); cause != nil { // why all has ended, where err says only that it has
		return nil, cause
	}
	return r, err
}

func (t *transfer) all(ctx context.Context) (*Result, error) {
	first, err := t.read(ctx)
	switch {
	case err == io.EOF:
		if err := t.src.check(int64(len(first))); err != nil {
			return nil, err
		}
		return t.whole(ctx, first)
	case err != nil:
		return nil, err
	}
	size, err := t.blocks(ctx, first)
	if err != nil {
		t.stop(err)
	}
	t.wg.Wait()
	if ctx.Err() != nil { // because of a block, the source, or the caller
		return nil, ctx.Err()
	}
	if err := t.src.check(size); err != nil {
		return nil, err
	}
	return t.commit(ctx, size)
}

// read fills a buffer, for which it waits. At the end of the source the error is io.EOF
// itself, with what there was.
func (t *transfer) read(ctx context.Context) ([]byte, error) {
	var buf []byte
	select {
	case buf = <-t.buffers:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if buf == nil {
		size := t.o.BlockSize
		if t.src.size >= 0 {
			size = min(size, t.src.size+1) // one byte more than there is, so that its end is seen
		}
		buf = make([]byte, size)
	}
	n, err := t.fill(ctx, buf)
	return buf[:n], err
}

// maxEmpty is how often a source may give nothing, and no reason, in a row.
const maxEmpty = 100

// fill is [io.ReadFull] that ends with ctx, and takes nothing for the end but io.EOF
// itself: a source that was cut off says io.ErrUnexpectedEOF, as ReadFull does of one that
// has come to its end.
func (t *transfer) fill(ctx context.Context, buf []byte) (n int, err error) {
	for empty := 0; n < len(buf); {
		if ctx.Err() != nil {
			return n, context.Cause(ctx)
		}
		more, err := t.src.Read(buf[n:])
		n += more
		switch {
		case err == io.EOF && n == len(buf): // it comes again
		case err != nil:
			return n, err
		case more > 0:
			empty = 0
		default:
			if empty++; empty == maxEmpty {
				return n, io.ErrNoProgress
			}
		}
	}
	return n, nil
}

// blocks lets the source travel, whose first block was read, and returns its size. They may still be
// on their way.
func (t *transfer) blocks(ctx context.Context, block []byte) (size int64, err error) {
	if err := t.look(ctx); err != nil {
		return 0, err
	}
	for end := false; len(block) > 0; {
		if len(t.ids) == maxBlocks {
			return 0, ErrTooLarge
		}
		size += int64(len(block))
		t.send(ctx, block)
		if end {
			break
		}
		block, err = t.read(ctx)
		if end = err == io.EOF; err != nil && !end {
			return 0, err
		}
	}
	return size, nil
}

// send lets the next block travel, and gives its buffer back when it has arrived.
func (t *transfer) send(ctx context.Context, b []byte) {
	index, id := len(t.ids), new(string)
	t.ids = append(t.ids, id)
	t.wg.Go(func() {
		defer func() { t.buffers <- b[:cap(b)] }()
		*id = blockID(index, b)
		if t.there[*id] {
			t.progress.done(int64(len(b)), int64(len(b)))
			return
		}
		o := &blockblob.StageBlockOptions{TransactionalValidation: t.validation(b)}
		err := t.do(ctx, func(c *blockblob.Client) error {
			body := t.progress.body(b)
			defer body.back()
			_, err := c.StageBlock(ctx, *id, body, o)
			return err
		})
		if err != nil {
			t.stop(err)
			return
		}
		t.progress.done(int64(len(b)), 0)
	})
}

// blockID makes the id of a block: its place, length and two checksums (64 bits, which
// processors make faster than one of 64), so that one that is there already is known. All ids
// of a blob must have one length.
func blockID(index int, b []byte) string {
	var id [idSize]byte
	binary.BigEndian.PutUint32(id[:], uint32(index))
	binary.BigEndian.PutUint64(id[4:], uint64(len(b)))
	binary.BigEndian.PutUint32(id[12:], crc32.Checksum(b, castagnoli))
	binary.BigEndian.PutUint32(id[16:], crc32.ChecksumIEEE(b))
	return base64.StdEncoding.EncodeToString(id[:])
}

const idSize = 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// validation is what the account holds b against, nil for nothing.
func (t *transfer) validation(b []byte) blob.TransferValidationType {
	if !t.o.Verify {
		return nil
	}
	return blob.TransferValidationTypeCRC64(crc64.Checksum(b, crcTable))
}

// commit makes the blocks the blob.
func (t *transfer) commit(ctx context.Context, size int64) (*Result, error) {
	ids := make([]string, len(t.ids))
	for i, id := range t.ids {
		ids[i] = *id
	}
	var r blockblob.CommitBlockListResponse
	err := t.do(ctx, func(c *blockblob.Client) (err error) {
		r, err = c.CommitBlockList(ctx, ids, &blockblob.CommitBlockListOptions{HTTPHeaders: t.httpHeaders(), Metadata: t.metadata()})
		return err
	})
	if err != nil {
		return nil, err
	}
	return t.result(size, r.ETag), nil
}

// whole uploads a file of one block in one request.
func (t *transfer) whole(ctx context.Context, b []byte) (*Result, error) {
	o := &blockblob.UploadOptions{
		HTTPHeaders: t.httpHeaders(), Metadata: t.metadata(),
		TransactionalValidation: t.validation(b),
	}
	var r blockblob.UploadResponse
	err := t.do(ctx, func(c *blockblob.Client) (err error) {
		body := t.progress.body(b)
		defer body.back()
		r, err = c.Upload(ctx, body, o)
		return err
	})
	if err != nil {
		return nil, err
	}
	t.progress.done(int64(len(b)), 0)
	return t.result(int64(len(b)), r.ETag), nil
}

func (t *transfer) httpHeaders() *blob.HTTPHeaders {
	if t.o.ContentType == "" {
		return nil
	}
	return &blob.HTTPHeaders{BlobContentType: &t.o.ContentType}
}

func (t *transfer) metadata() map[string]*string {
	m := make(map[string]*string, len(t.o.Metadata))
	for name, value := range t.o.Metadata {
		m[name] = &value
	}
	return m
}

func (t *transfer) result(size int64, etag *azcore.ETag) *Result {
	r := &Result{BlobName: t.grant().BlobName, Size: size, Skipped: t.progress.now.Skipped}
	if etag != nil {
		r.ETag = string(*etag)
	}
	return r
}

// look asks the account for the blocks that an earlier upload has left.
func (t *transfer) look(ctx context.Context) error {
	var r blockblob.GetBlockListResponse
	err := t.do(ctx, func(c *blockblob.Client) (err error) {
		r, err = c.GetBlockList(ctx, blockblob.BlockListTypeAll, nil)
		return err
	})
	switch {
	case bloberror.HasCode(err, bloberror.BlobNotFound, bloberror.AuthorizationPermissionMismatch):
		return nil // a token that may not look: all is sent
	case err != nil:
		return err
	}
	t.there = map[string]bool{}
	foreign := false
	for _, b := range r.UncommittedBlocks {
		if b.Name != nil {
			t.there[*b.Name] = true
			foreign = foreign || len(*b.Name) != base64.StdEncoding.EncodedLen(idSize)
		}
	}
	var committed []string
	for _, b := range r.CommittedBlocks {
		if b.Name != nil {
			t.there[*b.Name] = true
			committed = append(committed, *b.Name)
		}
	}
	if !foreign || r.ETag != nil && len(committed) == 0 {
		return nil
	}
	// Somebody else's blocks, whose ids have another length: the account would take none of ours
	// beside them. Committing what is committed already drops them.
	clear(t.there)
	for _, name := range committed {
		t.there[name] = true
	}
	return t.do(ctx, func(c *blockblob.Client) error {
		_, err := c.CommitBlockList(ctx, committed, nil)
		return err
	})
}
