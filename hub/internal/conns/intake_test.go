package conns

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// source is a connection on which all that has come is there to be read, and then there is none until more comes.
type source struct {
	net.Conn
	coming  [][]byte
	waiting []byte
}

var errOver = errors.New("over")

func (s *source) Read(b []byte) (int, error) {
	if len(s.waiting) == 0 {
		if len(s.coming) == 0 {
			return 0, errOver
		}
		s.waiting, s.coming = s.coming[0], s.coming[1:]
	}
	n := copy(b, s.waiting)
	s.waiting = s.waiting[n:]
	return n, nil
}

func TestIntakeHandsOutAllThatComes(t *testing.T) {
	for _, room := range []int{1, 7, 512, 4 << 10, intakeRoom, 2 * intakeRoom} {
		s := &source{}
		var want []byte
		for range 20 {
			b := make([]byte, 1+rand.IntN(2*intakeRoom))
			for i := range b {
				b[i] = byte(rand.Uint32())
			}
			s.coming, want = append(s.coming, b), append(want, b...)
		}
		in := &Intake{Conn: s}
		var got []byte
		b := make([]byte, room)
		var err error
		for err == nil {
			var n int
			n, err = in.Read(b)
			got = append(got, b[:n]...)
		}
		if !errors.Is(err, errOver) || string(got) != string(want) {
			t.Errorf("reading %d bytes at a time: %d bytes, then %v, want %d", room, len(got), err, len(want))
		}
		if in.room != nil {
			t.Errorf("reading %d bytes at a time: a buffer is kept", room)
		}
	}
}

// A lull is told of when all is handed out, and not while there may be more.
func TestIntakeTellsOfLulls(t *testing.T) {
	for name, tt := range map[string]struct {
		coming []int // bytes
		room   int
		want   []int // bytes handed out before each lull
	}{
		"little at a time":                     {[]int{10, 20}, 512, []int{0, 10, 30}},
		"more than there is room for":          {[]int{1000, 10}, 512, []int{0, 1000, 1010}},
		"more than is read at once":            {[]int{512 + intakeRoom + 7, 10}, 512, []int{0, 512 + intakeRoom + 7, 512 + intakeRoom + 17}},
		"just what there is room for, as more": {[]int{512, 10}, 512, []int{0, 522}},
		"into more room than an intake's":      {[]int{3 * intakeRoom, 10}, 2 * intakeRoom, []int{0, 3 * intakeRoom, 3*intakeRoom + 10}},
	} {
		s := &source{}
		for _, n := range tt.coming {
			s.coming = append(s.coming, make([]byte, n))
		}
		in := &Intake{Conn: s}
		total := 0
		var got []int
		in.OnLull(func() { got = append(got, total) })
		n, err := io.CopyBuffer(counter{&total}, struct{ io.Reader }{in}, make([]byte, tt.room))
		if !errors.Is(err, errOver) || int(n) != total {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s: lulls (-want +got):\n%s", name, d)
		}
	}
}

type counter struct{ n *int }

func (c counter) Write(b []byte) (int, error) {
	*c.n += len(b)
	return len(b), nil
}
