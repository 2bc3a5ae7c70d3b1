package blob

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc64"
	"io"
	"os"
	"sync"
	"time"
)

// Limits of the service for block blobs, version 2019-12-12 and later.
const (
	maxPut    = 5000 << 20 // bytes of Put Blob
	maxBlock  = 4000 << 20
	maxBlocks = 50_000 // of a content
	maxStaged = 100_000
	maxID     = 64 // bytes of a block id, decoded
)

// stagedLife is how long uncommitted blocks wait for the next one, or to be committed.
const stagedLife = 7 * 24 * time.Hour

// buffers are what bytes go through on their way to the disk and back.
var buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// crcTable is that of the service's CRC-64, which is neither ISO's nor ECMA's.
var crcTable = crc64.MakeTable(0x9A6C9329AC4BC9B5)

// upload is the body of a request on its way to a file.
type upload struct {
	body   io.Reader
	length int64
	md5    []byte  // what it must be; nil for anything
	crc    *uint64 // likewise
	sum    []byte  // of MD5, if hashed
	hashed bool    // wants sum
}

// writeTo stores u in a file, which has another name until it is whole.
func (u *upload) writeTo(root *os.Root, file string) error {
	f, err := root.OpenFile(file+partSuffix, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = u.copyTo(f)
	if err = errors.Join(err, f.Close()); err == nil {
		err = root.Rename(file+partSuffix, file)
	}
	if err != nil {
		return errors.Join(err, root.Remove(file+partSuffix))
	}
	return nil
}

// copyTo copies the body and checks it.
func (u *upload) copyTo(w io.Writer) error {
	var sum hash.Hash
	if u.hashed || u.md5 != nil {
		sum = md5.New()
	}
	crc := uint64(0)
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for left := u.length; left > 0; {
		part := (*buf)[:min(left, int64(len(*buf)))]
		if _, err := io.ReadFull(u.body, part); err != nil {
			return fmt.Errorf("%w: %w", errBody, err)
		}
		if sum != nil {
			sum.Write(part)
		}
		if u.crc != nil {
			crc = crc64.Update(crc, crcTable, part)
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
		left -= int64(len(part))
	}
	if sum != nil {
		u.sum = sum.Sum(nil)
	}
	switch {
	case u.md5 != nil && string(u.sum) != string(u.md5):
		return errMD5Mismatch
	case u.crc != nil && crc != *u.crc:
		return errCRCMismatch
	}
	return nil
}

// receive stores u as a file of a blob, which is made when it is not there, and hands it to
// use, with the lock held. A file that use does not refer to is deleted.
func (e *Endpoint) receive(p place, id string, u *upload, check func(*blob) error, use func(*blob, *segment) error) error {
	b, s, root, err := e.reserve(p, id, u.length, check)
	if err != nil {
		return err
	}
	err = u.writeTo(root, s.file)
	e.mu.Lock()
	defer e.mu.Unlock()
	b.writers--
	switch {
	case err != nil:
		e.used -= s.cost()
		b.files--
	case e.closed:
		err = errClosed
	default:
		s.refs = 1 // this one
		if err = check(b); err == nil {
			err = use(b, s)
		}
		e.drop(b, s)
	}
	e.tidy(b)
	return err
}

// reserve makes room for a file of a blob.
func (e *Endpoint) reserve(p place, id string, length int64, check func(*blob) error) (*blob, *segment, *os.Root, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	b, err := e.lookUp(p)
	if err != nil && !errors.Is(err, errNoBlob) {
		return nil, nil, nil, err
	}
	known := b
	if known == nil {
		known = &blob{}
	}
	if err := check(known); err != nil {
		return nil, nil, nil, err
	}
	s := &segment{id: id, size: length}
	if need := s.cost() + footprint; e.used+need > e.opt.MaxBytes {
		if e.forgetStale(); e.used+need > e.opt.MaxBytes {
			return nil, nil, nil, errFull
		}
	}
	if b == nil {
		if b, err = e.newBlob(p); err != nil {
			return nil, nil, nil, err
		}
	}
	b.next++
	s.file = fmt.Sprintf("%s/%s%012d-%x", b.dir, blockPrefix, b.next, id)
	b.files++
	b.writers++
	e.used += s.cost()
	return b, s, e.root, nil
}

// newBlob makes a blob that holds nothing. The caller holds the lock.
func (e *Endpoint) newBlob(p place) (*blob, error) {
	root, err := e.disk()
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256([]byte(p.blob))
	b := &blob{in: e.containers[p.container], name: p.blob, dir: p.container + "/" + hex.EncodeToString(hash[:])}
	if err := root.MkdirAll(b.dir, 0o700); err != nil {
		return nil, err
	}
	if err := root.WriteFile(b.dir+"/"+nameFile, []byte(b.name), 0o600); err != nil {
		return nil, err
	}
	b.in.blobs[b.name] = b
	e.used += footprint
	return b, nil
}

// forgetStale drops uncommitted blocks that nobody came back for. The caller holds the lock.
func (e *Endpoint) forgetStale() {
	for _, c := range e.containers {
		for _, b := range c.blobs {
			if len(b.staged) > 0 && time.Since(b.touched) > stagedLife {
				e.unstage(b)
				e.tidy(b)
			}
		}
	}
}

// put makes u the content of a blob.
func (e *Endpoint) put(p place, u *upload, h headers, c *conditions) (*content, error) {
	var made *content
	u.hashed = true
	err := e.receive(p, "", u, c.check, func(b *blob, s *segment) error {
		if h.MD5 == "" {
			h.MD5 = base64.StdEncoding.EncodeToString(u.sum)
		}
		made = e.newContent(b, h, []*segment{s})
		return e.replace(b, made)
	})
	return made, err
}

// stage adds an uncommitted block to a blob.
func (e *Endpoint) stage(p place, id string, u *upload) error {
	check := func(b *blob) error {
		if !b.sameLength(id) {
			return errBlock
		}
		if _, again := b.staged[id]; !again && len(b.staged) >= maxStaged {
			return errTooMany
		}
		return nil
	}
	return e.receive(p, id, u, check, func(b *blob, s *segment) error {
		if old := b.staged[id]; old != nil {
			e.drop(b, old)
		} else if b.staged == nil {
			b.staged = map[string]*segment{}
		}
		s.refs++
		b.staged[id] = s
		b.touched = time.Now()
		return nil
	})
}

// blockRef is an entry of a block list: an id, and where to look for it.
type blockRef struct {
	id                     string
	uncommitted, committed bool
}

// commit makes blocks the content of a blob.
func (e *Endpoint) commit(p place, list []blockRef, h headers, c *conditions) (*content, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	b, err := e.lookUp(p)
	switch {
	case err == nil:
	case !errors.Is(err, errNoBlob):
		return nil, err
	case len(list) > 0:
		return nil, errBlockList
	default: // an empty list makes an empty blob
		if b, err = e.newBlob(p); err != nil {
			return nil, err
		}
		defer e.tidy(b)
	}
	if err := c.check(b); err != nil {
		return nil, err
	}
	segments, err := b.pick(list)
	if err != nil {
		return nil, err
	}
	made := e.newContent(b, h, segments)
	return made, e.replace(b, made)
}

// pick returns the blocks of a list. The caller holds the lock.
func (b *blob) pick(list []blockRef) ([]*segment, error) {
	committed := map[string]*segment{}
	if b.content != nil {
		for _, s := range b.content.segments {
			if s.id != "" {
				committed[s.id] = s
			}
		}
	}
	out := make([]*segment, 0, len(list))
	for _, ref := range list {
		var s *segment
		if ref.uncommitted {
			s = b.staged[ref.id]
		}
		if s == nil && ref.committed {
			s = committed[ref.id]
		}
		if s == nil {
			return nil, errBlockList
		}
		out = append(out, s)
	}
	return out, nil
}

// newContent is what b holds from now on. The caller holds the lock.
func (e *Endpoint) newContent(b *blob, h headers, segments []*segment) *content {
	now := time.Now().UTC()
	c := &content{headers: h, segments: segments, etag: e.newETag(), made: now, modified: now}
	if b.content != nil {
		c.made = b.content.made
	}
	for _, s := range segments {
		c.size += s.size
	}
	return c
}

// erase deletes what a blob holds.
func (e *Endpoint) erase(p place, c *conditions) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	b, err := e.lookUp(p)
	if err != nil {
		return err
	}
	if b.content == nil {
		return errNoBlob
	}
	if err := c.check(b); err != nil {
		return err
	}
	return e.replace(b, nil)
}
