package main

import (
	"fmt"
	"net/url"
)

// codecRows makes the rows of the codecs: they turn values into bytes and back,
// in this process, with warm buffers. Inputs are those of inputs.go.
func codecRows() ([]*row, error) {
	var rows []*row
	for _, set := range []func() ([]*row, error){
		topicRows, sasRows, publishRows, pubackRows, refusalRows,
	} {
		some, err := set()
		if err != nil {
			return nil, err
		}
		rows = append(rows, some...)
	}
	return rows, nil
}

// sink is where results go, so that the compiler can't leave out what makes them.
var sink struct {
	bytes  []byte
	text   string
	n      int
	values url.Values
}

// memcpy is the floor of whatever makes or reads bytes.
//
//go:noinline
func memcpy(dst, src []byte) int { return copy(dst, src) }

func memcpyWork[T ~string | ~[]byte](of T) *work {
	src, to := placed(of), newSpace(len(of))
	return &work{name: fmt.Sprintf("memcpy %d B", len(src)), run: func(n int) {
		src, dst := src, to.next()[:len(src)]
		for range n {
			sink.n = memcpy(dst, src)
		}
	}}
}

// placed returns a copy of b for reading. It begins a page, as an allocation of
// this size does.
func placed[T ~string | ~[]byte](b T) []byte {
	block := make([]byte, 2*pageSize)
	return block[:copy(block, b):len(b)]
}

// space is room for writing, at another place on each lap. A
// processor holds up a load that follows a store to an address with the same
// last twelve bits, so whether a lap is quick hangs on where what it reads and
// writes happens to lie, its stack included. Some laps have it well.
type space struct {
	block []byte
	size  int
	at    int
}

const (
	pageSize  = 4 << 10
	spaceStep = pageSize/5 + 13 // of no power of two, so as not to be periodic
)

// newSpace makes room for size bytes.
func newSpace(size int) *space { return &space{block: make([]byte, pageSize+size), size: size} }

func (s *space) next() []byte {
	s.at = (s.at + spaceStep) % pageSize
	return s.block[s.at : s.at : s.at+s.size]
}
