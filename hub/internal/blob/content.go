package blob

import (
	"os"
	"time"
)

// On disk, a container is a directory, and a blob one in it, named by the hash of the
// blob's name. A block is a file, and a blob's content is a list of them: committing a list
// moves no bytes. A file is deleted when nothing refers to it, so that what is being read can be
// replaced meanwhile.

type container struct {
	name  string
	made  time.Time
	etag  string
	blobs map[string]*blob
}

type blob struct {
	in      *container
	name    string
	dir     string // relative to the root: container/hash
	content *content
	staged  map[string]*segment // uncommitted blocks, by id
	touched time.Time           // when a block was staged last
	next    uint64              // number of the last file
	writers int                 // requests that write a file
	files   int                 // segments that something refers to
}

// segment is a file with a block, or with the whole of a blob that was put at once.
type segment struct {
	id   string // decoded; empty when it is not a block
	file string
	size int64
	refs int // staged, and each place in a content
}

// content is what a blob holds. But for refs it does not change.
type content struct {
	headers
	segments []*segment
	size     int64
	etag     string
	made     time.Time
	modified time.Time
	refs     int // being the content, and each reader
}

// headers are what a request says of a blob, and an answer says again.
type headers struct {
	Type        string            `json:"type,omitempty"`
	Encoding    string            `json:"encoding,omitempty"`
	Language    string            `json:"language,omitempty"`
	Disposition string            `json:"disposition,omitempty"`
	Cache       string            `json:"cache,omitempty"`
	MD5         string            `json:"md5,omitempty"`
	Meta        map[string]string `json:"meta,omitempty"` // by name, with its case
}

// footprint is the least that a file or a blob counts for.
const footprint = 4 << 10

func (s *segment) cost() int64 { return s.size + footprint }

// lookUp returns a blob, or why there is none to be had. The caller holds the lock.
func (e *Endpoint) lookUp(p place) (*blob, error) {
	if e.closed {
		return nil, errClosed
	}
	c := e.containers[p.container]
	if c == nil {
		return nil, errNoContainer
	}
	b := c.blobs[p.blob]
	if b == nil {
		return nil, errNoBlob
	}
	return b, nil
}

// reader reads a content. Close it when done.
type reader struct {
	*content
	endpoint *Endpoint
	blob     *blob
	root     *os.Root
}

// open returns a reader of what a blob holds now.
func (e *Endpoint) open(p place) (*reader, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	b, err := e.lookUp(p)
	if err != nil {
		return nil, err
	}
	if b.content == nil {
		return nil, errNoBlob
	}
	b.content.refs++
	return &reader{b.content, e, b, e.root}, nil
}

func (r *reader) close() {
	r.endpoint.mu.Lock()
	defer r.endpoint.mu.Unlock()
	r.endpoint.release(r.blob, r.content)
}

// copy gives n bytes from offset on to write, in pieces.
func (r *reader) copy(offset, n int64, write func([]byte) error) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for _, s := range r.segments {
		if offset >= s.size {
			offset -= s.size
			continue
		}
		part := min(n, s.size-offset)
		if err := r.copySegment(s, offset, part, *buf, write); err != nil {
			return err
		}
		offset = 0
		if n -= part; n == 0 {
			break
		}
	}
	return nil
}

func (r *reader) copySegment(s *segment, offset, n int64, buf []byte, write func([]byte) error) error {
	f, err := r.root.Open(s.file)
	if err != nil {
		return err
	}
	defer f.Close()
	for n > 0 {
		part := buf[:min(n, int64(len(buf)))]
		if _, err := f.ReadAt(part, offset); err != nil {
			return err
		}
		if err := write(part); err != nil {
			return err
		}
		offset += int64(len(part))
		n -= int64(len(part))
	}
	return nil
}

// release gives up one reference to a content of b. The caller holds the lock.
func (e *Endpoint) release(b *blob, c *content) {
	if c.refs--; c.refs > 0 {
		return
	}
	for _, s := range c.segments {
		e.drop(b, s)
	}
	e.tidy(b)
}

// drop gives up one reference to a segment, and deletes a file that has no other. The caller
// holds the lock.
func (e *Endpoint) drop(b *blob, s *segment) {
	if s.refs--; s.refs > 0 {
		return
	}
	b.files--
	e.used -= s.cost()
	e.remove(s.file)
}

// remove deletes a file, or an empty directory. The caller holds the lock.
func (e *Endpoint) remove(name string) {
	if e.root == nil {
		return // closed, and the directory gone if it was temporary
	}
	if err := e.root.Remove(name); err != nil {
		e.opt.Log.Error("blob: a file was not deleted", "error", err)
	}
}

// tidy forgets a blob of which nothing is left. The caller holds the lock.
func (e *Endpoint) tidy(b *blob) {
	if b.content != nil || b.files > 0 || b.writers > 0 || b.in.blobs[b.name] != b {
		return
	}
	delete(b.in.blobs, b.name)
	e.used -= footprint
	e.remove(b.dir + "/" + nameFile)
	e.remove(b.dir)
}

// unstage drops the uncommitted blocks. The caller holds the lock.
func (e *Endpoint) unstage(b *blob) {
	for _, s := range b.staged {
		e.drop(b, s)
	}
	b.staged = nil
}

// replace makes c what b holds, nil for nothing, and drops what it held and its
// uncommitted blocks. The caller holds the lock.
func (e *Endpoint) replace(b *blob, c *content) error {
	if c != nil {
		for _, s := range c.segments {
			s.refs++
		}
		c.refs = 1
		if err := e.save(b, c); err != nil {
			for _, s := range c.segments {
				s.refs-- // a file without any is the caller's
			}
			return err
		}
	} else if err := e.root.Remove(b.dir + "/" + metaFile); err != nil {
		return err
	}
	old := b.content
	b.content = c
	e.unstage(b)
	if old != nil {
		e.release(b, old)
	}
	e.tidy(b)
	return nil
}

// sameLength reports whether all block ids of b, and id, have one length: the service
// takes no others. The caller holds the lock.
func (b *blob) sameLength(id string) bool {
	for other := range b.staged {
		return len(other) == len(id) // they are alike among themselves
	}
	return true
}
