package mqtt

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"
)

// ackBatch is how many acknowledgements are settled at once, with one lock and one yield to whom they wake.
const ackBatch = 256

// readLoop handles what comes in until the connection ends, and says why it did.
func (s *Session) readLoop(l *link) (err error) {
	defer s.connPanicked(&err)
	s.ackIDs = s.ackIDs[:0]
	heard := func() { l.lastRead.Store(int64(s.now())) } // a packet may take a slow link longer than KeepAlive allows
	for first := true; ; {
		var p Packet
		if p, err = l.conn.readPacket(heard); err != nil {
			s.settle(l)
			return readError(look(err))
		}
		last := l.conn.Buffered() == 0
		if first && last && p.Type() == TypePuback {
			if err = s.settleLone(l, p); err != nil {
				return err
			}
			continue
		}
		if first {
			l.lastRead.Store(int64(s.now()))
		}
		if err := s.handle(l, p); err != nil {
			s.settle(l)
			return err
		}
		if !last && p.Type() == TypePuback { // of a burst of them
			s.ackIDs = l.conn.takePubacks(s.ackIDs, ackBatch)
			last = l.conn.Buffered() == 0
		}
		first = last
		if (first || len(s.ackIDs) == ackBatch) && s.settle(l) > 1 {
			// Those who waited run first, so that what they send next goes into one write. For a lone
			// one that is a switch too many: its answer is a network away, and this goroutine sleeps in any case.
			runtime.Gosched()
		}
		if first && l.reading { // only this goroutine writes reading
			s.mu.Lock()
			l.reading = false
			s.kickUnlock(l, false)
		}
	}
}

// readError is why nothing more can be read.
func readError(err error) error {
	if err == io.EOF {
		return fmt.Errorf("%w: %w", ErrServerClosed, err)
	}
	if errors.Is(err, ErrLength) {
		return protocolError("%w", err) // not so ErrTooLarge: that limit is the caller's
	}
	return fmt.Errorf("mqtt: read: %w", err)
}

// handle deals with one packet.
func (s *Session) handle(l *link, p Packet) error {
	switch p.Type() {
	case TypePuback:
		ack, err := ParsePuback(p)
		if err != nil {
			return protocolError("%w", err)
		}
		s.ackIDs = append(s.ackIDs, ack.ID)
		return nil
	case TypePublish:
		return s.receive(l, p)
	case TypeSuback:
		ack, err := ParseSuback(p)
		if err != nil {
			return protocolError("%w", err)
		}
		return s.suback(ack)
	case TypeUnsuback:
		ack, err := ParseUnsuback(p)
		if err != nil {
			return protocolError("%w", err)
		}
		s.unsuback(ack.ID)
		return nil
	case TypePingresp:
		if _, err := ParsePingresp(p); err != nil {
			return protocolError("%w", err)
		}
		if len(s.ackIDs) == 0 {
			s.ackIDs, s.completions = nil, nil // it is a quiet time
		}
		return nil // lastRead has it
	}
	return protocolError("a server does not send %v here", p.Type())
}

// receive hands a message to OnDelivery.
func (s *Session) receive(l *link, p Packet) error {
	m, err := ParsePublish(p)
	if err != nil {
		return protocolError("%w", err)
	}
	d := Delivery{Publish: m}
	switch m.QoS {
	case ExactlyOnce:
		return protocolError("PUBLISH with QoS 2, which was not asked for")
	case AtLeastOnce:
		seq, skip, err := s.admit(l, &m)
		if skip || err != nil {
			return err
		}
		d.Receipt = Receipt{s, l, seq}
	default:
		if s.Err() != nil {
			return nil // it came before the end, but nobody waits for what is in the buffer
		}
	}
	if s.o.OnDelivery == nil {
		_ = d.Receipt.Ack() // fails only when the connection has gone
		return nil
	}
	s.deliver(d)
	if now := s.now(); now-time.Duration(l.lastRead.Load()) >= longBurst {
		l.lastRead.Store(int64(now))
		s.mu.Lock()
		l.reading = false
		s.kickUnlock(l, false)
	}
	return nil
}

// longBurst is how long OnDelivery may take for what was read at once, until PUBACKs go
// out before the end of it, and what has been in the buffer since counts as a sign of life: else a burst
// that takes longer than KeepAlive allows would cost the connection, and come again as a whole.
const longBurst = 100 * time.Millisecond

// admit gives a message with QoS 1 its place in the inbox. skip is true for one that
// comes again although it is acknowledged: its PUBACK waits for others'. So it is for what is
// left in the buffer of a connection that has gone: nobody could acknowledge it, and it comes again.
func (s *Session) admit(l *link, m *Publish) (seq uint64, skip bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.dead != nil {
		return 0, true, nil
	}
	l.reading = true
	if m.Dup {
		if seq, acked, again := l.inbox.find(m.ID); again {
			return seq, acked, nil
		}
	}
	seq, ok := l.inbox.add(m.ID)
	if !ok || len(s.ctl) > maxControl && len(s.ctl) > maxControl+s.asking() {
		return 0, false, protocolError("it sends and does not read: %d deliveries without PUBACK, %d bytes that wait to be written",
			l.inbox.tail-l.inbox.head, len(s.ctl))
	}
	return seq, false, nil
}

// settle completes the publishes that the gathered PUBACKs acknowledge. One for
// an identifier that is not under way says nothing that could be lost by
// passing over it, and is. It returns how many calls it woke.
func (s *Session) settle(l *link) (woke int) {
	if len(s.ackIDs) == 0 {
		return 0
	}
	ops := s.completions[:0]
	s.mu.Lock()
	oldest := s.out.head
	for _, id := range s.ackIDs {
		if seq, ok := s.out.acked(id); ok {
			op := s.out.remove(seq)
			if op.wait != nil {
				woke++
			}
			ops = append(ops, completed{completion: op})
		}
	}
	if s.out.head != oldest {
		s.out.moved = time.Duration(l.lastRead.Load())
	}
	s.settledLocked(l)
	s.mu.Unlock()
	s.ackIDs = s.ackIDs[:0]
	s.callAll(ops)
	return woke
}

// settleLone is settle for a PUBACK that comes alone, as it does when one message goes at a time.
//
// The clock is a good part of what a session costs then. It is not read when no publish and no ping is
// under way any more: the server counts as heard when it was sent what it acknowledges. The next ping is due a
// KeepAlive after the last write in any case. Only the verdict on a dead link can come the earlier
// for it, half a KeepAlive after that ping; where that is short, the clock is read.
func (s *Session) settleLone(l *link, p Packet) error {
	ack, err := ParsePuback(p)
	if err != nil {
		return protocolError("%w", err)
	}
	var op completion
	s.mu.Lock()
	oldest := s.out.head
	heard, read := never, time.Duration(l.lastRead.Load())
	if seq, ok := s.out.acked(ack.ID); ok {
		heard = s.out.at(seq).sentAt
		op = s.out.remove(seq)
	}
	if heard == never || heard < read || s.out.used > 0 || l.pingAt > read || 0 < s.o.KeepAlive && s.o.KeepAlive < shortKeepAlive {
		heard = s.now()
	}
	if s.out.head != oldest {
		s.out.moved = heard
	}
	l.lastRead.Store(int64(heard))
	s.settledLocked(l)
	s.mu.Unlock()
	if op.wait != nil {
		op.wait.wake()
	} else if op.done != nil {
		s.callAll(append(s.completions[:0], completed{completion: op}))
	}
	return nil
}

// settledLocked follows up on publishes that are acknowledged.
func (s *Session) settledLocked(l *link) {
	if s.out.used == 0 {
		l.loose = 0
	}
	if !s.queue.empty() {
		s.makeRoom()
	}
	if l.leaving != staying {
		s.leaveLocked(l)
		s.kickLocked(l)
	}
}

// callAll calls back for ops, which have the memory of s.completions.
func (s *Session) callAll(ops []completed) {
	s.call(ops)
	clear(ops)
	s.completions = ops[:0]
}
