package mqtt

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/hubwire/hubwire/internal/goroutine"
)

// maxLone is how much may be under way unproved for a publish to be written by its
// own caller: no socket buffer is smaller, so that such a write does not wait
// for the server, and the caller's context need not be able to interrupt it. On a
// connection that shows no buffer the flusher writes.
const maxLone = 16 << 10

// maxControl bounds what waits to be written besides publishes and requests. Only a server
// that sends much and reads nothing gets there.
const maxControl = 256 << 10

// commitUnlock sees to it that the newest publish, of n bytes, is written: here and now when
// nothing else is under way, so that a lone message has no hand-over; else by
// the flusher, together with all that waits. mu is held, and given up before any write.
// A done function that the write itself would call is not called here, though,
// inside PublishAsync, where its owner may hold a lock.
func (s *Session) commitUnlock(n int, lone bool) {
	l := s.link
	if l == nil || !l.up || l.writing || l.leaving == forRenewal {
		s.mu.Unlock()
		return
	}
	l.writing = true
	if !lone || !l.lone || s.out.used > 1 || l.loose+n > maxLone || len(s.ctl) > 0 {
		s.startFlusher()
		s.mu.Unlock()
		return
	}
	ops, _ := s.writeNext(l, nil)
	s.doneWriting(l)
	s.mu.Unlock()
	if ops != nil {
		s.call(ops)
		s.mu.Lock()
		s.keepScratch(ops)
		s.mu.Unlock()
	}
}

// keepScratch keeps ops, which is dealt with, for the next publishes with QoS 0.
func (s *Session) keepScratch(ops []completed) {
	clear(ops)
	if n := cap(ops); n > 0 && n <= ackBatch {
		s.loose = ops[:0]
	}
}

// doneWriting gives the right to write back, or on to the flusher.
func (s *Session) doneWriting(l *link) {
	if l.dead == nil && s.pending(l) {
		s.startFlusher()
		return
	}
	l.writing = false
	s.changed.Broadcast()
}

// kickLocked has the flusher write what waits.
func (s *Session) kickLocked(l *link) {
	if l.up && !l.writing && s.pending(l) {
		l.writing = true
		s.startFlusher()
	}
}

// kickUnlock is kickLocked, unless the read loop will see to it, without mu after it.
func (s *Session) kickUnlock(l *link, later bool) {
	if !later {
		s.kickLocked(l)
	}
	s.mu.Unlock()
}

// pending reports whether there is anything to write on l.
func (s *Session) pending(l *link) bool {
	return len(s.ctl) > 0 || l.bye || l.leaving != forRenewal && s.out.next < s.out.tail
}

func (s *Session) startFlusher() {
	s.helpers++
	go s.flush()
}

// runFlusher writes until nothing waits. It gives up the right to write while
// it calls back: another flusher then takes over what the callback brings about.
func (s *Session) runFlusher() {
	runtime.Gosched() // to whoever else is about to publish: their packets go into the same write
	returned := false
	defer func() {
		if !returned { // a callback has ended the goroutine
			s.mu.Lock()
		}
		s.helpers--
		s.changed.Broadcast()
		s.mu.Unlock()
	}()
	s.mu.Lock()
	l := s.link
	var ops []completed
	for more := true; more; {
		ops, more = s.writeNext(l, ops[:0])
		if len(ops) > 0 {
			s.callWritten(l, ops)
			if more = !l.writing && l.dead == nil && s.pending(l); !more {
				break
			}
			l.writing = true
		} else if !more {
			l.writing = false
		}
	}
	s.keepScratch(ops)
	returned = true
}

// callWritten calls back, without mu and without the right to write.
func (s *Session) callWritten(l *link, ops []completed) {
	id := goroutine.ID()
	l.writing = false
	s.callers = append(s.callers, id)
	s.changed.Broadcast()
	s.mu.Unlock()
	returned := false
	defer func() {
		s.mu.Lock()
		s.calledLocked(id)
		if !returned { // a done function has ended the goroutine: another one goes on
			s.kickLocked(l)
			s.mu.Unlock()
		}
	}()
	s.call(ops)
	returned = true
}

// writeNext writes what is to go next, if anything, and appends to ops the QoS
// 0 publishes that are done with it. The caller has the right to write, and mu,
// which is given up during the write.
func (s *Session) writeNext(l *link, ops []completed) (_ []completed, more bool) {
	if l.dead != nil {
		return ops, false
	}
	now := s.now()
	switch {
	case len(s.ctl) > 0:
		b := s.ctl
		s.ctl = nil
		if s.write(l, b, now) && s.ctl == nil && cap(b) <= 1<<10 {
			s.ctl = b[:0]
		}
	case l.bye:
		if s.write(l, (*Disconnect)(nil).AppendTo(nil), now) {
			why := ErrSessionClosed
			if l.leaving == forRenewal {
				why = ErrRenewal
			}
			s.mu.Unlock()
			s.goodbye(l.nc)
			s.kill(l, why)
			s.mu.Lock()
		}
	case l.leaving == forRenewal:
		return ops, false // what is new waits for the next connection
	default:
		b, c, from, to, loose := s.out.take(now)
		if b == nil {
			return ops, false
		}
		written := s.write(l, b, now)
		s.out.release(c)
		if loose && written {
			ops = s.writtenLocked(from, to, ops)
		}
	}
	s.leaveLocked(l)
	return ops, true
}

// write writes b without mu, which is held before and after.
func (s *Session) write(l *link, b []byte, now time.Duration) bool {
	l.inWrite, l.writeSince = true, now
	l.loose += len(b)
	s.wakeAt(s.ackLimit(now))
	s.mu.Unlock()
	err := errExit
	defer func() {
		if err != nil {
			s.kill(l, fmt.Errorf("mqtt: write: %w", err))
		}
		s.mu.Lock()
		l.inWrite, l.lastWrite = false, now
		if err == errExit {
			l.writing = false
			s.changed.Broadcast()
			s.mu.Unlock()
		}
	}()
	err = s.writeTo(l, b)
	return err == nil
}

// errExit is why a connection is lost whose Trace ended the goroutine that wrote.
var errExit = errors.New("a callback ended the goroutine")

// writeTo has a frame of its own, so that a panic and the end of a goroutine are told apart.
func (s *Session) writeTo(l *link, b []byte) (err error) {
	defer s.connPanicked(&err)
	return look(l.conn.Write(b))
}

// writtenLocked completes the publishes with QoS 0 in [from, to).
func (s *Session) writtenLocked(from, to uint64, ops []completed) []completed {
	if ops == nil {
		ops, s.loose = s.loose, nil
	}
	for i := max(from, s.out.head); i < to; i++ {
		if slot := s.out.at(i); !slot.free && slot.qos == AtMostOnce {
			ops = append(ops, completed{completion: s.out.remove(i)})
		}
	}
	s.makeRoom()
	return ops
}

// leaveLocked writes the DISCONNECT of a connection that is to be left, when
// nothing more is expected of it.
func (s *Session) leaveLocked(l *link) {
	switch l.leaving {
	case staying:
		return
	case forRenewal:
		if s.out.sent > 0 || l.inWrite {
			return
		}
	case forGood:
		if s.out.used > 0 || l.inWrite {
			return
		}
	}
	l.bye = true
}
