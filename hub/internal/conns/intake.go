package conns

import (
	"net"
	"sync"
)

// Intake is a connection below TLS. TLS reads little at once, and hands out a record at a time, so its reader cannot
// know whether there is more: Intake reads much when there is much, and tells when there is no more.
type Intake struct {
	net.Conn
	lull func()
	more bool    // the last read got all that it had room for
	room *[]byte // what was read and is not taken yet is between r and w; nil when there is none
	r, w int
}

// intakeRoom is how much is read at once, in bytes. Connections have none of it when nothing comes.
const intakeRoom = 32 << 10

var intakeRooms = sync.Pool{New: func() any { b := make([]byte, intakeRoom); return &b }}

// OnLull has f called whenever all that has come has been handed out, before the next read waits for more. It is
// called on the goroutine that reads, while no other one reads.
func (in *Intake) OnLull(f func()) { in.lull = f }

// Read reads into b, unless there was more than b had room for the last time.
func (in *Intake) Read(b []byte) (n int, err error) {
	if in.room == nil {
		if !in.more && in.lull != nil {
			in.lull()
		}
		if !in.more || len(b) >= intakeRoom {
			n, err = in.Conn.Read(b)
			in.more = n == len(b)
			return n, err
		}
		room := intakeRooms.Get().(*[]byte)
		n, err = in.Conn.Read(*room)
		in.more = n == intakeRoom
		if n <= 0 {
			intakeRooms.Put(room)
			return n, err
		}
		in.room, in.r, in.w = room, 0, n
	}
	n = copy(b, (*in.room)[in.r:in.w])
	if in.r += n; in.r == in.w {
		intakeRooms.Put(in.room)
		in.room = nil
	}
	return n, err
}
