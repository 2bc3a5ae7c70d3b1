package amqpserver

import (
	"fmt"
	"slices"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// maxName is the longest name of a link, in bytes. They are kept.
const maxName = 1024

// attach acts on a peer's attach (part 2 section 2.6.3).
func (s *Session) attach(body []byte) error {
	c := s.conn
	var p amqp10.Attach
	if err := p.Parse(body); err != nil {
		return decodeError(err)
	}
	if p.Handle > c.cfg.HandleMax {
		return &amqp10.Error{Condition: amqp10.FramingError, Description: fmt.Sprintf("handle %d, the limit is %d", p.Handle, c.cfg.HandleMax)}
	}
	handle, ok := s.newHandle()
	switch {
	case len(p.Name) > maxName:
		s.end(&amqp10.Error{Condition: amqp10.InvalidField, Description: fmt.Sprintf("a link's name of %d bytes, the limit is %d", len(p.Name), maxName)})
		return nil
	case s.handles[p.Handle] != nil:
		s.end(&amqp10.Error{Condition: amqp10.HandleInUse, Description: fmt.Sprintf("handle %d has a link", p.Handle)})
		return nil
	case !ok || c.links >= c.cfg.MaxLinks:
		s.end(&amqp10.Error{Condition: amqp10.ResourceLimitExceeded, Description: fmt.Sprintf("%d links", c.links)})
		return nil
	}
	l := &Link{session: s, key: linkKey{string(p.Name), p.Role}, handle: handle, peerHandle: p.Handle}
	s.handles[p.Handle] = l
	s.peerHandles = max(s.peerHandles, uint64(p.Handle)+1)
	c.links++
	if old := s.names[l.key]; old != nil {
		old.detach(&amqp10.Error{Condition: amqp10.Stolen, Description: "the link was attached again"})
	}
	s.names[l.key] = l

	a := &Attach{Link: l, Peer: &p, Reply: reply(l, &p, c.cfg), Credit: c.cfg.Credit}
	s.nodes++ // the session's end is told behind this one's
	refused := s.resolve(a)
	if l.node == nil {
		s.nodes--
		s.farewell()
	}
	switch {
	case l.state != linkAttaching: // the session ended meanwhile
		c.farewell(l)
	case refused == nil && l.refusal == nil:
		l.accept(a)
	default:
		if refused == nil {
			refused = l.refusal // the node's own
		}
		l.refuse(a, refused)
	}
	return nil
}

// resolve asks the handler for a node, with no lock held.
func (s *Session) resolve(a *Attach) (refused *amqp10.Error) {
	c, l, h := s.conn, a.Link, s.conn.handler
	var in Receiver
	var out Sender
	refused = &amqp10.Error{Condition: amqp10.NotImplemented, Description: "no links of this kind"}
	c.mu.Unlock()
	switch {
	case a.Peer.Target.Value.Coordinator:
	case a.Peer.Role == amqp10.RoleSender && h.Receiver != nil:
		in, refused = h.Receiver(a)
	case a.Peer.Role == amqp10.RoleReceiver && h.Sender != nil:
		out, refused = h.Sender(a)
	}
	c.mu.Lock()
	switch {
	case refused != nil:
	case in != nil:
		l.in, l.node = in, in
	case out != nil:
		l.out, l.node = out, out
	default:
		refused = &amqp10.Error{Condition: amqp10.InternalError, Description: "the address has no node"}
	}
	return refused
}

// reply is what an attach is answered with if the handler has nothing to add: the peer's termini and modes.
func reply(l *Link, p *amqp10.Attach, cfg *Config) amqp10.Attach {
	a := amqp10.Attach{
		Name: p.Name, Handle: l.handle, Role: !p.Role,
		SendMode:       amqp10.Some(p.SendMode.Or(amqp10.SendMixed)),
		ReceiveMode:    amqp10.Some(p.ReceiveMode.Or(amqp10.ReceiveFirst)),
		Source:         p.Source,
		Target:         p.Target,
		MaxMessageSize: amqp10.Some(cfg.MaxMessageSize),
	}
	if most := p.MaxMessageSize.Or(0); most > 0 && most < cfg.MaxMessageSize {
		a.MaxMessageSize.Value = most
	}
	if p.Role == amqp10.RoleReceiver {
		a.InitialDeliveryCount = amqp10.Some[uint32](0)
	}
	return a
}

// accept answers an attach. A receiver's credit follows.
func (l *Link) accept(a *Attach) {
	l.state = linkAttached
	r := &a.Reply
	r.Name, r.Handle, r.Role = a.Peer.Name, l.handle, !a.Peer.Role
	if l.out != nil {
		r.InitialDeliveryCount = amqp10.Some[uint32](0)
	}
	l.session.append(r.AppendTo)
	if l.maxMessage = r.MaxMessageSize.Or(0); l.maxMessage > 0 {
		l.maxMessage = max(l.maxMessage, l.session.conn.cfg.MaxMessageSize)
	}
	l.second = r.ReceiveMode.Or(amqp10.ReceiveFirst) == amqp10.ReceiveSecond && !a.SettleFirst
	if l.in != nil {
		l.deliveryCount = a.Peer.InitialDeliveryCount.Or(0)
		l.window = max(a.Credit, 1)
		l.topUp()
		return
	}
	if l.maxMessage = a.Peer.MaxMessageSize.Or(0); a.AnySize {
		l.maxMessage = 0
	}
	l.sendMode = r.SendMode.Or(amqp10.SendMixed)
	l.woken = true
}

// refuse answers an attach with one that lacks the terminus that the peer wanted, and a detach: many clients
// need both (part 2 section 2.6.3).
func (l *Link) refuse(a *Attach, e *amqp10.Error) {
	r := reply(l, a.Peer, l.session.conn.cfg)
	r.MaxMessageSize.Valid = false
	if r.Role == amqp10.RoleSender {
		r.Source.Valid = false
	} else {
		r.Target.Valid = false
	}
	l.session.append(r.AppendTo)
	l.sendDetach(e)
	l.end(linkDetaching, e)
}

// detached acts on a peer's detach. One that does not say closed ends the link all the same: none is resumed.
func (s *Session) detached(body []byte) error {
	var p amqp10.Detach
	if err := p.Parse(body); err != nil {
		return decodeError(err)
	}
	l := s.handles[p.Handle]
	if l == nil {
		s.noLink(amqp10.DescDetach, p.Handle)
		return nil
	}
	if l.state == linkAttached {
		l.sendDetach(nil)
		l.end(linkDetaching, asError(p.Error))
	}
	l.state = linkGone
	delete(s.handles, p.Handle)
	s.handlesFree = append(s.handlesFree, l.handle)
	s.conn.links--
	return nil
}

// noLink ends a session whose peer names a handle that has no link.
func (s *Session) noLink(what amqp10.Descriptor, handle uint32) {
	s.end(&amqp10.Error{Condition: amqp10.UnattachedHandle, Description: fmt.Sprintf("%v on handle %d, which has no link", what, handle)})
}

// newHandle returns a handle of ours that is free. It is taken by who puts a link on it.
func (s *Session) newHandle() (h uint32, ok bool) {
	if n := len(s.handlesFree); n > 0 {
		h, s.handlesFree = s.handlesFree[n-1], s.handlesFree[:n-1]
		return h, true
	}
	s.handlesMade++
	return s.handlesMade - 1, s.handlesMade-1 <= s.peerHandleMax
}

// forget takes a link that has ended out of what it may be in. The queue of the connection drops it when its turn comes.
func (s *Session) forget(l *Link) {
	if s.names[l.key] == l {
		delete(s.names, l.key)
	}
	if l.partial != nil {
		s.conn.partial -= len(l.partial.Message)
		l.partial = nil
	}
	if s.rest.link == l {
		s.rest = rest{}
	}
	if l.unsettled > 0 {
		s.in.Drop(l)
		s.out.Drop(l)
		l.unsettled = 0
	}
	if i := slices.Index(s.stalled, l); i >= 0 {
		s.stalled = slices.Delete(s.stalled, i, i+1)
	}
	s.unstall()
}
