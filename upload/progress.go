package upload

import (
	"bytes"
	"fmt"
	"sync"
)

// progress counts the bytes of an upload. What was told is never taken back, also when a
// block has to travel again.
type progress struct {
	tell func(Progress) // nil for nobody
	fail func(error)    // ends the upload

	mu     sync.Mutex
	now    Progress // of the blocks that have arrived
	moving int64    // bytes of those on their way
	told   int64
}

// done says that a block of n bytes has arrived, of which so many were there already.
func (p *progress) done(n, skipped int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.Done += n
	p.now.Skipped += skipped
	p.report()
}

// move says that n bytes more are on their way, or with a negative n that they are not after all.
func (p *progress) move(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moving += n
	if n > 0 {
		p.report()
	}
}

// report tells of what is new. The caller holds the lock, which keeps the calls apart.
func (p *progress) report() {
	now := p.now
	now.Done += p.moving
	if p.tell != nil && now.Done > p.told {
		p.told = now.Done
		if err := contained("Options.Progress", func() error { p.tell(now); return nil }); err != nil {
			p.tell = nil
			p.fail(err)
		}
	}
}

// contained calls a function of the program, whose panic would end the process: it is called
// on other goroutines than the program's own.
func contained(name string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("upload: %s panicked: %v", name, v)
		}
	}()
	return f()
}

// body returns b as the body of a request that may be sent more than once.
func (p *progress) body(b []byte) *body { return &body{Reader: *bytes.NewReader(b), progress: p} }

// body is a block on its way.
type body struct {
	bytes.Reader
	progress *progress
	read     int64
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.read += int64(n)
	b.progress.move(int64(n))
	return n, err
}

// Seek takes back what was read behind the place.
func (b *body) Seek(offset int64, whence int) (int64, error) {
	at, err := b.Reader.Seek(offset, whence)
	if err == nil && at < b.read {
		b.progress.move(at - b.read)
		b.read = at
	}
	return at, err
}

func (b *body) Close() error { return nil }

// back takes back all that was read.
func (b *body) back() { b.progress.move(-b.read); b.read = 0 }
