package faults_test

import (
	"crypto/tls"
	"slices"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// speaker is the hub's end of a line whose network knows AMQP: it says things of the hub's that the hub
// itself does not say, and keeps from the client what belongs to them. What the client answers goes to
// the hub, which takes it for the client's own wish, so both sides mean the same in the end.
//
// It owns one goroutine, which ends with the hub's end of the connection.
type speaker struct {
	*tls.Conn      // with the hub
	webSocket bool // that the frames are in

	mu      sync.Mutex
	changed *sync.Cond
	out     []byte // for the client
	err     error  // behind that
	links   map[place]amqp.Address
	gone    map[place]bool // ended without the hub; its own word of that is due
	silent  map[amqp10.Descriptor]bool

	// What the client says is overheard for what the hub's dispositions are about, which no link is named in.
	up       parser
	sessions map[int]int         // the hub's channels, by the client's
	names    map[place]string    // of links, by the client's numbers
	places   map[string]place    // by name
	sent     map[delivery]string // the names of the links that it went by
}

// delivery is one of the client's, by the hub's channel.
type delivery struct {
	channel int
	id      uint32
}

// place is a link, by the hub's numbers. That of a session has no handle, that of the connection no channel either.
type place struct{ channel, handle int }

const (
	noHandle  = -1
	noChannel = -1
)

var wholeConnection = place{noChannel, noHandle}

func newSpeaker(hub *tls.Conn, webSocket bool) *speaker {
	s := &speaker{
		Conn: hub, webSocket: webSocket,
		links: map[place]amqp.Address{}, gone: map[place]bool{}, silent: map[amqp10.Descriptor]bool{},
		sessions: map[int]int{}, names: map[place]string{}, places: map[string]place{}, sent: map[delivery]string{},
	}
	s.up = parser{webSocket: webSocket, frame: s.overhear}
	s.changed = sync.NewCond(&s.mu)
	go s.listen()
	return s
}

// Read gives what the hub says, as the client is to hear it.
func (s *speaker) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.out) == 0 && s.err == nil {
		s.changed.Wait()
	}
	if len(s.out) == 0 {
		return 0, s.err
	}
	n := copy(b, s.out)
	s.out = s.out[n:]
	return n, nil
}

// listen takes in what the hub says, until it is over.
func (s *speaker) listen() {
	p := parser{webSocket: s.webSocket, raw: func(b []byte) { s.out = append(s.out, b...) }, frame: s.hear}
	for {
		var b [16 << 10]byte
		n, err := s.Conn.Read(b[:])
		s.mu.Lock()
		p.take(b[:n])
		s.err = err
		s.changed.Broadcast()
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Write gives the hub what the client says.
func (s *speaker) Write(b []byte) (int, error) {
	s.mu.Lock()
	s.up.take(b)
	s.mu.Unlock()
	return s.Conn.Write(b)
}

// overhear notes what a frame of the client's means.
func (s *speaker) overhear(b []byte) {
	f, ok := performative(b)
	if !ok {
		return
	}
	channel := int(f.Channel())
	switch amqp10.PeekDescriptor(f.Body()) {
	case amqp10.DescAttach:
		var a amqp10.Attach
		if a.Parse(f.Body()) == nil {
			s.names[place{channel, int(a.Handle)}] = string(a.Name)
		}
	case amqp10.DescTransfer:
		var t amqp10.Transfer
		if _, err := t.Parse(f.Body()); err == nil && t.DeliveryID.Valid {
			s.sent[delivery{s.sessions[channel], t.DeliveryID.Value}] = s.names[place{channel, int(t.Handle)}]
		}
	}
}

// performative returns the frame that b is, if it has one to do with AMQP itself.
func performative(b []byte) (amqp10.Frame, bool) {
	f, _, err := amqp10.SplitFrame(b, 1<<30)
	return f, err == nil && f != nil && f.Type() == amqp10.FrameAMQP && len(f.Body()) > 0
}

// hear passes on what the hub says, if the client is to hear it.
func (s *speaker) hear(b []byte) {
	if f, ok := performative(b); !ok && !s.gone[wholeConnection] || ok && s.passes(f) {
		s.say(b)
	}
}

// say has the client hear b next. The caller holds the lock.
func (s *speaker) say(b []byte) {
	if s.webSocket {
		s.out = appendSocketFrame(s.out, b)
	} else {
		s.out = append(s.out, b...)
	}
	s.changed.Broadcast()
}

// passes notes what a frame means, and reports whether the client is to hear it.
func (s *speaker) passes(f amqp10.Frame) bool {
	what := amqp10.PeekDescriptor(f.Body())
	channel := int(f.Channel())
	session := place{channel, noHandle}
	over := s.gone[wholeConnection] || s.gone[session]
	switch what {
	case amqp10.DescBegin:
		var b amqp10.Begin
		if b.Parse(f.Body()) == nil {
			s.sessions[int(b.RemoteChannel.Value)] = channel
		}
	case amqp10.DescAttach:
		var a amqp10.Attach
		if a.Parse(f.Body()) == nil {
			s.attached(channel, &a)
		}
	case amqp10.DescDetach:
		var d amqp10.Detach
		if d.Parse(f.Body()) == nil {
			at := place{channel, int(d.Handle)}
			over = over || s.gone[at]
			delete(s.links, at)
			delete(s.gone, at)
		}
	case amqp10.DescEnd:
		s.forget(channel)
		delete(s.gone, session)
	case amqp10.DescTransfer:
		var t amqp10.Transfer
		if _, err := t.Parse(f.Body()); err == nil {
			over = over || s.gone[place{channel, int(t.Handle)}]
		}
	case amqp10.DescDisposition:
		var d amqp10.Disposition
		if d.Parse(f.Body()) == nil && d.Role == amqp10.RoleReceiver && !over {
			s.settle(channel, d)
			return false
		}
	case amqp10.DescFlow:
		var w amqp10.Flow
		if w.Parse(f.Body()) == nil && w.Handle.Valid {
			over = over || s.gone[place{channel, int(w.Handle.Value)}]
		}
	}
	return !over && !s.silent[what]
}

func (s *speaker) attached(channel int, a *amqp10.Attach) {
	role, at := amqp.Sender, a.Target.Value.Address // the client's role
	if a.Role == amqp10.RoleSender {
		role, at = amqp.Receiver, a.Source.Value.Address
	}
	s.places[string(a.Name)] = place{channel, int(a.Handle)}
	text, _ := at.Text()
	if address, err := amqp.ParseAddress(role, string(text)); err == nil {
		s.links[place{channel, int(a.Handle)}] = address
	}
}

// settle passes on what a disposition says of deliveries whose links are there.
func (s *speaker) settle(channel int, d amqp10.Disposition) {
	last := d.First
	if d.Last.Valid {
		last = d.Last.Value
	}
	for id := d.First; ; id++ {
		at, known := s.places[s.sent[delivery{channel, id}]]
		if !known || !s.gone[at] {
			one := d
			one.First, one.Last = id, amqp10.Opt[uint32]{}
			s.frame(channel, one.AppendTo)
		}
		delete(s.sent, delivery{channel, id})
		if id == last {
			return
		}
	}
}

// forget drops the links of a session.
func (s *speaker) forget(channel int) {
	for at := range s.links {
		if at.channel == channel {
			delete(s.links, at)
			delete(s.gone, at)
		}
	}
}

// frame has the client hear a frame that the hub never said.
func (s *speaker) frame(channel int, appendTo func([]byte) []byte) {
	s.say(amqp10.CloseFrame(appendTo(amqp10.OpenFrame(nil, amqp10.FrameAMQP, uint16(channel))), 0))
}

// ofWhom says which links are meant.
type ofWhom func(amqp.Address) bool

// linkOf are the links of somebody to one of these nodes, or all of his.
func linkOf(id hubwire.Identity, nodes ...amqp.Node) ofWhom {
	return func(a amqp.Address) bool {
		return a.Identity == id && (len(nodes) == 0 || slices.Contains(nodes, a.Node))
	}
}

// detach ends links in the hub's place. It reports how many.
func (s *speaker) detach(whom ofWhom, why *amqp10.Error) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at, address := range s.links {
		if s.gone[at] || s.gone[place{at.channel, noHandle}] || !whom(address) {
			continue
		}
		s.gone[at] = true
		s.frame(at.channel, (&amqp10.Detach{Handle: uint32(at.handle), Closed: amqp10.Some(true), Error: why}).AppendTo)
		n++
	}
	return n
}

// end ends the sessions of such links in the hub's place.
func (s *speaker) end(whom ofWhom, why *amqp10.Error) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at, address := range s.links {
		if session := (place{at.channel, noHandle}); !s.gone[session] && whom(address) {
			s.gone[session] = true
			s.frame(at.channel, (&amqp10.End{Error: why}).AppendTo)
			n++
		}
	}
	return n
}

// close ends the connection in the hub's place.
func (s *speaker) close(why *amqp10.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone[wholeConnection] = true
	s.frame(0, (&amqp10.Close{Error: why}).AppendTo)
}

// hush keeps frames of these kinds, and no others, from the client from now on, so that what it asked for has no answer.
func (s *speaker) hush(whats ...amqp10.Descriptor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.silent)
	for _, what := range whats {
		s.silent[what] = true
	}
}
