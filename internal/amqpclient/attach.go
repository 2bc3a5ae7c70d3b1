package amqpclient

import (
	"context"
	"fmt"
	"strconv"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// attach attaches a link, and waits for the peer's answer.
func (s *Session) attach(ctx context.Context, l *link, a *amqp10.Attach) error {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.state != sessionOpen {
		return s.why
	}
	if l.name == "" {
		c.names++
		l.name = "link-" + strconv.FormatUint(c.names, 10)
	}
	if s.named(l.name, l.in != nil) != nil {
		return ErrNameInUse
	}
	if !s.newHandle(l) {
		return ErrLimit
	}
	a.Name, a.Handle = []byte(l.name), l.handle
	if len(a.AppendTo(nil))+amqp10.FrameHead > int(c.peer.maxFrame) {
		s.links[l.handle] = nil
		return ErrFrameSize
	}
	s.append(a.AppendTo)
	c.wakeWriter()
	for l.state <= linkRefused {
		if err := c.wait(ctx, &l.gate); err != nil && l.state <= linkRefused {
			l.abandoned = true
			return err
		}
	}
	if !l.attached {
		return l.why
	}
	return nil
}

// named returns the link of that name and role.
func (s *Session) named(name string, receives bool) *link {
	for _, l := range s.links {
		if l != nil && l.name == name && (l.in != nil) == receives {
			return l
		}
	}
	return nil
}

// newHandle gives l a handle of ours that is free.
func (s *Session) newHandle(l *link) bool {
	for i, other := range s.links {
		if other == nil {
			l.handle, s.links[i] = uint32(i), l
			return true
		}
	}
	if uint64(len(s.links)) > uint64(s.handleMax) {
		return false
	}
	l.handle = uint32(len(s.links))
	s.links = append(s.links, l)
	return true
}

// byHandle returns the link of the peer's handle.
func (s *Session) byHandle(h uint32) *link {
	if l := s.latest; l != nil && l.remote == h {
		return l
	}
	for _, l := range s.links {
		if l != nil && l.answered && l.remote == h {
			s.latest = l
			return l
		}
	}
	return nil
}

// attached acts on the peer's attach, which answers one of ours (part 2 section 2.6.3).
func (s *Session) attached(body []byte) error {
	var p amqp10.Attach
	if err := p.Parse(body); err != nil {
		return decodeError(err)
	}
	l := s.named(string(p.Name), p.Role == amqp10.RoleSender)
	switch {
	case l == nil || l.answered:
		s.end(&amqp10.Error{Condition: amqp10.NotAllowed, Description: "an attach that answers none"})
		return nil
	case s.byHandle(p.Handle) != nil:
		s.end(&amqp10.Error{Condition: amqp10.HandleInUse, Description: fmt.Sprintf("handle %d has a link", p.Handle)})
		return nil
	}
	l.answered, l.remote = true, p.Handle
	there := p.Source.Valid
	if l.out != nil {
		there = p.Target.Valid
	}
	switch {
	case !there:
		l.state = linkRefused
		return nil
	case l.abandoned:
		l.sendDetach(nil)
		l.end(&Error{Level: LevelLink, Err: ErrClosed})
		return nil
	}
	l.state, l.attached = linkAttached, true
	s.untold++
	if l.out != nil {
		l.out.accepted(&p)
	} else {
		l.in.accepted(&p)
	}
	l.gate.open()
	return nil
}

// detached acts on the peer's detach. One that does not say closed ends the link all the same: none is resumed.
func (s *Session) detached(body []byte) error {
	var p amqp10.Detach
	if err := p.Parse(body); err != nil {
		return decodeError(err)
	}
	l := s.byHandle(p.Handle)
	if l == nil {
		s.noLink(amqp10.DescDetach, p.Handle)
		return nil
	}
	switch l.state {
	case linkRefused:
		l.sendDetach(nil)
		l.end(remoteError(LevelAttach, p.Error))
	case linkAttached:
		l.sendDetach(nil)
		l.end(remoteError(LevelLink, p.Error))
	}
	l.gone()
	return nil
}

// noLink ends a session whose peer names a handle that has no link.
func (s *Session) noLink(what amqp10.Descriptor, handle uint32) {
	s.end(&amqp10.Error{Condition: amqp10.UnattachedHandle, Description: fmt.Sprintf("%v on handle %d, which has no link", what, handle)})
}

// address is a terminus's address: null if it is empty.
func address(s string) amqp10.Value {
	if s == "" {
		return amqp10.Value{}
	}
	return amqp10.ValueOf(amqp10.AppendString(nil, s))
}
