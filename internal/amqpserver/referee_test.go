package amqpserver_test

import (
	"testing"
	"testing/synctest"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// referee judges what a server writes by what its peer has said so far: no more is sent than credit and window allow,
// delivery-ids have no gaps, links and sessions are not used before they begin or after they end, and nothing follows a close.
type referee struct {
	t        testing.TB
	opened   bool
	closed   bool
	channels map[uint16]*refereed
}

// refereed is a channel. What the peer says is for its latest session, and what the server says for the one that
// it has begun: while they are not the same, the peer's is kept in pending.
type refereed struct {
	pending []*refereedSession
	current *refereedSession
	latest  *refereedSession
}

type refereedSession struct {
	attaches []*refereedLink // that are not answered
	byPeer   map[uint32]*refereedLink
	links    map[uint32]*refereedLink // by the server's handle
	out      uint32                   // transfers of the server
	window   uint32                   // of them that the peer has ever allowed
	ids      uint32                   // deliveries of the server
	lastID   uint32                   // of the peer
}

type refereedLink struct {
	name  string
	limit uint32 // the delivery-count that the peer has ever allowed
	count uint32
	more  bool
}

func newReferee(t testing.TB) *referee { return &referee{t: t, channels: map[uint16]*refereed{}} }

func (r *referee) channel(n uint16) *refereed {
	if r.channels[n] == nil {
		r.channels[n] = &refereed{}
	}
	return r.channels[n]
}

func (r *referee) begun(n uint16, b *amqp10.Begin) {
	c := r.channel(n)
	c.latest = &refereedSession{
		byPeer: map[uint32]*refereedLink{}, links: map[uint32]*refereedLink{},
		window: b.IncomingWindow, lastID: b.NextOutgoingID,
	}
	c.pending = append(c.pending, c.latest)
}

func (r *referee) attached(n uint16, a *amqp10.Attach) {
	if s := r.channel(n).latest; s != nil {
		l := &refereedLink{name: string(a.Name)}
		s.attaches = append(s.attaches, l)
		s.byPeer[a.Handle] = l
	}
}

// granted fills a flow with what the peer has seen so far, and notes what it allows.
func (r *referee) granted(n uint16, f *amqp10.Flow) {
	s := r.channel(n).latest
	if s == nil {
		return
	}
	f.NextIncomingID = amqp10.Some(s.out + 1)
	if l := s.byPeer[f.Handle.Value]; l != nil {
		f.DeliveryCount = amqp10.Some(l.count)
	}
	s.window = max(s.window, f.NextIncomingID.Value-1+f.IncomingWindow)
	if l := s.byPeer[f.Handle.Value]; l != nil {
		l.limit = max(l.limit, f.DeliveryCount.Value+f.LinkCredit.Value)
	}
}

// nextID is the peer's next delivery-id, most of the time.
func (r *referee) nextID(n uint16, c byte) uint32 {
	s := r.channel(n).latest
	if s == nil {
		return uint32(c)
	}
	if c != 0 {
		s.lastID++
	}
	return s.lastID
}

// judge looks at all that the server has written since the last time.
func (r *referee) judge(p *peer) {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !r.opened && len(p.got) >= 8 {
		r.opened, p.got = true, p.got[8:]
	}
	for len(p.got) > 0 {
		f, rest, err := amqp10.SplitFrame(p.got, 512)
		if err != nil || f == nil {
			r.t.Fatalf("%d bytes that are no frame: %v", len(p.got), err)
		}
		p.got = rest
		if r.closed {
			r.t.Fatalf("behind the close: %s", show(r.t, f))
		}
		r.frame(f)
	}
}

func (r *referee) frame(f amqp10.Frame) {
	body := f.Body()
	text := show(r.t, f) // fails if it cannot be read
	c := r.channel(f.Channel())
	switch what := amqp10.PeekDescriptor(body); what {
	case 0, amqp10.DescOpen:
	case amqp10.DescClose:
		r.closed = true
	case amqp10.DescBegin:
		if len(c.pending) == 0 || c.current != nil {
			r.t.Fatalf("not asked for: %s", text)
		}
		c.current, c.pending = c.pending[0], c.pending[1:]
	case amqp10.DescEnd:
		if c.current == nil {
			r.t.Fatalf("without a session: %s", text)
		}
		c.current = nil
	default:
		if c.current == nil {
			r.t.Fatalf("without a session: %s", text)
		}
		c.current.frame(r.t, what, body, text)
	}
}

func (s *refereedSession) frame(t testing.TB, what amqp10.Descriptor, body []byte, text string) {
	switch what {
	case amqp10.DescAttach:
		var a amqp10.Attach
		a.Parse(body)
		if len(s.attaches) == 0 || s.attaches[0].name != string(a.Name) || s.links[a.Handle] != nil {
			t.Fatalf("not asked for, or on a handle in use: %s", text)
		}
		s.links[a.Handle], s.attaches = s.attaches[0], s.attaches[1:]
	case amqp10.DescDetach:
		var d amqp10.Detach
		d.Parse(body)
		if s.links[d.Handle] == nil {
			t.Fatalf("without a link: %s", text)
		}
		delete(s.links, d.Handle)
	case amqp10.DescFlow:
		var f amqp10.Flow
		f.Parse(body)
		if f.Handle.Valid && s.links[f.Handle.Value] == nil || f.NextOutgoingID != s.out+1 || !f.NextIncomingID.Valid {
			t.Fatalf("without a link, or with a wrong id, behind %d transfers: %s", s.out, text)
		}
		if f.Drain.Or(false) {
			s.links[f.Handle.Value].count = f.DeliveryCount.Value
		}
	case amqp10.DescTransfer:
		s.transfer(t, body, text)
	case amqp10.DescDisposition:
		var d amqp10.Disposition
		d.Parse(body)
		if d.State.IsNull() || d.Role == amqp10.RoleSender && int32(d.Last.Or(d.First)-s.ids) >= 0 {
			t.Fatalf("without a state, or of what was not sent: %s", text)
		}
	}
}

func (s *refereedSession) transfer(t testing.TB, body []byte, text string) {
	var m amqp10.Transfer
	m.Parse(body)
	l := s.links[m.Handle]
	if s.out++; l == nil || s.out > s.window {
		t.Fatalf("without a link, or beyond a window of %d: %s", s.window, text)
	}
	if first := !l.more; first {
		if m.DeliveryID.Value != s.ids || !m.DeliveryID.Valid || !m.MessageFormat.Valid || len(m.DeliveryTag) == 0 {
			t.Fatalf("not delivery %d: %s", s.ids, text)
		}
		s.ids++
		if l.count++; l.count > l.limit {
			t.Fatalf("without credit, of which %d in all: %s", l.limit, text)
		}
	}
	l.more = m.More.Or(false)
}
