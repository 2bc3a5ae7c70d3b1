package links

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// tapSession is a session.
type tapSession struct {
	local uint16 // our channel
	begun bool   // the peer's begin came
	links []*attachment
}

// wire is what the tap knows of an attachment. It is guarded by tap.mu.
type wire struct {
	local    uint32 // handles
	remote   uint32
	attached bool // the peer's attach came, and remote is set
	receives bool
	secret   bool   // what is sent on it are tokens
	count    uint32 // of deliveries that came in
	limit    uint32 // of them, by the credit that was given
	partial  int    // bytes of the delivery that is under way
	message  []byte // those, if there are more to come
}

// Bounds for what a peer may do to go-amqp, which has none of its own.
const (
	maxMessage   = 4 << 20 // bytes of one message; go-amqp keeps the limit of an attach only when the peer repeats it
	maxSettled   = 1 << 20 // deliveries that one disposition may name; go-amqp looks at each, and for ever if the last is 2³²-1
	creditSlack  = 1000    // deliveries without credit that are let through: go-amqp keeps whatever comes
	minKeepAlive = time.Second
)

// incoming follows a performative from the peer, and refuses what go-amqp must not see.
func (t *tap) incoming(channel uint16, body []byte) error {
	what := amqp10.PeekDescriptor(body)
	if what != amqp10.DescTransfer {
		if err := checkMessage(body); err != nil { // maps are there as well
			return err
		}
	}
	switch what {
	case amqp10.DescOpen:
		return t.peerOpen(body)
	case amqp10.DescBegin:
		return t.peerBegin(channel, body)
	case amqp10.DescAttach:
		return t.peerAttach(channel, body)
	case amqp10.DescFlow:
		return t.peerFlow(body)
	case amqp10.DescTransfer:
		return t.peerTransfer(channel, body)
	case amqp10.DescDisposition:
		return t.peerDisposition(body)
	case amqp10.DescDetach:
		return t.peerDetach(channel, body)
	case amqp10.DescEnd:
		return t.peerEnd(channel, body)
	case amqp10.DescClose:
		return t.peerClose(body)
	default:
		return fmt.Errorf("a frame with %v", what)
	}
}

func (t *tap) peerOpen(body []byte) error {
	var open amqp10.Open
	if err := open.Parse(body); err != nil {
		return err
	}
	if n := open.MaxFrameSize; n.Valid && n.Value < amqp10.MinMaxFrameSize {
		return fmt.Errorf("max-frame-size %d", n.Value)
	}
	if ms := open.IdleTimeout.Or(0); ms > 0 && time.Duration(ms)*time.Millisecond < minKeepAlive {
		return fmt.Errorf("idle-time-out of %d ms", ms)
	}
	t.opened.Store(true)
	return nil
}

func (t *tap) peerBegin(channel uint16, body []byte) error {
	var begin amqp10.Begin
	if err := begin.Parse(body); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.locals[begin.RemoteChannel.Value]; s != nil && begin.RemoteChannel.Valid && !s.begun {
		s.begun = true
		t.remotes[channel] = s
		return nil
	}
	return errors.New("a begin that answers none")
}

func (t *tap) peerAttach(channel uint16, body []byte) error {
	var attach amqp10.Attach
	if err := attach.Parse(body); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.remotes[channel]
	if s == nil {
		return nil // go-amqp says what it is
	}
	for _, at := range s.links {
		if at.name == string(attach.Name) && at.wire.receives == (attach.Role == amqp10.RoleSender) && !at.wire.attached {
			at.wire.remote, at.wire.attached = attach.Handle, true
			at.wire.count = attach.InitialDeliveryCount.Or(0)
			at.wire.limit = at.wire.count
			return nil
		}
	}
	return fmt.Errorf("an attach of the link %.100q, which answers none", attach.Name)
}

func (t *tap) peerFlow(body []byte) error {
	var flow amqp10.Flow
	if err := flow.Parse(body); err != nil {
		return err
	}
	if flow.Handle.Valid && !flow.LinkCredit.Valid {
		return errors.New("a flow of a link without link-credit") // at which go-amqp panics
	}
	return nil
}

func (t *tap) peerTransfer(channel uint16, body []byte) error {
	var transfer amqp10.Transfer
	payload, err := transfer.Parse(body)
	if err == nil && !transfer.State.IsNull() {
		err = checkMessage(body[:len(body)-len(payload)])
	}
	if err != nil {
		return err
	}
	arrived, err := t.follow(channel, &transfer, payload)
	if arrived != nil {
		arrived.arrive()
	}
	return err
}

// follow counts a transfer, and returns whose message it is the last of.
func (t *tap) follow(channel uint16, transfer *amqp10.Transfer, payload []byte) (arrived *attachment, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.remotes[channel].remoteLink(transfer.Handle)
	if at == nil {
		return nil, nil // go-amqp says what it is
	}
	w := &at.wire
	switch w.partial += len(payload); {
	case !w.receives || int32(w.count-w.limit) >= creditSlack:
		return nil, fmt.Errorf("more messages on the link %.100q than it has credit for", at.name)
	case w.partial > maxMessage:
		return nil, fmt.Errorf("a message of more than %d bytes", maxMessage)
	case transfer.Aborted.Value:
		w.partial, w.message = 0, nil
	case transfer.More.Value:
		w.message = append(w.message, payload...)
	default:
		if len(w.message) > 0 {
			payload = append(w.message, payload...)
		}
		w.partial, w.message = 0, nil
		w.count++
		return at, checkMessage(payload)
	}
	return nil, nil
}

func (t *tap) peerDisposition(body []byte) error {
	var d amqp10.Disposition
	if err := d.Parse(body); err != nil {
		return err
	}
	if last := d.Last.Or(d.First); last == math.MaxUint32 || last-d.First > maxSettled && last >= d.First {
		return fmt.Errorf("a disposition of deliveries %d to %d", d.First, last)
	}
	return nil
}

func (t *tap) peerDetach(channel uint16, body []byte) error {
	var detach amqp10.Detach
	if err := detach.Parse(body); err != nil {
		return err
	}
	t.mu.Lock()
	s := t.remotes[channel]
	at := s.remoteLink(detach.Handle)
	if at != nil {
		s.drop(at)
	}
	t.mu.Unlock()
	if at != nil {
		t.watcher.linkEnded(at, levelLink, detach.Error)
	}
	return nil
}

func (t *tap) peerEnd(channel uint16, body []byte) error {
	var end amqp10.End
	if err := end.Parse(body); err != nil {
		return err
	}
	t.mu.Lock()
	s := t.remotes[channel]
	var lost []*attachment
	if s != nil {
		lost, s.links = s.links, nil
		delete(t.remotes, channel)
		delete(t.locals, s.local)
	}
	t.mu.Unlock()
	for _, at := range lost {
		t.watcher.linkEnded(at, levelSession, end.Error)
	}
	return nil
}

func (t *tap) peerClose(body []byte) error {
	var c amqp10.Close
	if err := c.Parse(body); err != nil {
		return err
	}
	err := ErrPeerEnded
	if c.Error != nil {
		err = amqp.FromWire(c.Error)
	}
	t.watcher.connEnded(err)
	t.goneOnce.Do(func() { close(t.peerGone) })
	return nil
}

// outgoing follows a frame from go-amqp, which writes what is well-formed.
func (t *tap) outgoing(f amqp10.Frame) {
	switch body := f.Body(); amqp10.PeekDescriptor(body) {
	case amqp10.DescBegin:
		t.mu.Lock()
		defer t.mu.Unlock()
		t.locals[f.Channel()] = &tapSession{local: f.Channel()}
	case amqp10.DescAttach:
		t.ownAttach(f.Channel(), body)
	case amqp10.DescFlow:
		t.ownFlow(f.Channel(), body)
	case amqp10.DescClose:
		t.farewell.Store(true)
	}
}

func (t *tap) ownAttach(channel uint16, body []byte) {
	var attach amqp10.Attach
	if attach.Parse(body) != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.locals[channel]
	for i, at := range t.expected {
		if s != nil && at.name == string(attach.Name) {
			at.wire.local, at.wire.receives = attach.Handle, attach.Role == amqp10.RoleReceiver
			s.links = append(s.links, at)
			t.expected = slices.Delete(t.expected, i, i+1)
			return
		}
	}
}

func (t *tap) ownFlow(channel uint16, body []byte) {
	var flow amqp10.Flow
	if flow.Parse(body) != nil || !flow.Handle.Valid {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.locals[channel]; s != nil {
		if at := s.localLink(flow.Handle.Value); at != nil {
			at.wire.limit = flow.DeliveryCount.Value + flow.LinkCredit.Value
		}
	}
}

// masked returns what Trace may see of a frame that is written: of SASL no initial response,
// and of what goes to $cbs no message.
func (t *tap) masked(b []byte) []byte {
	if b[0] == 'A' || len(b) <= amqp10.FrameHead {
		return b
	}
	f := amqp10.Frame(b)
	body := f.Body()
	shown := body
	switch amqp10.PeekDescriptor(body) {
	case amqp10.DescSASLInit:
		var init amqp10.SASLInit
		if init.Parse(body) != nil {
			return nil
		}
		shown = (&amqp10.SASLInit{Mechanism: init.Mechanism, Hostname: init.Hostname}).AppendTo(nil)
	case amqp10.DescTransfer:
		var transfer amqp10.Transfer
		payload, err := transfer.Parse(body)
		if err != nil {
			return nil
		}
		t.mu.Lock()
		at := t.locals[f.Channel()].localLink(transfer.Handle)
		secret := at == nil || at.wire.secret
		t.mu.Unlock()
		if secret {
			shown = body[:len(body)-len(payload)]
		}
	}
	if len(shown) == len(body) {
		return b
	}
	return amqp10.CloseFrame(append(amqp10.OpenFrame(nil, f.Type(), f.Channel()), shown...), 0)
}

// expect has the tap follow at, whose attach is about to be written.
func (t *tap) expect(at *attachment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expected = append(t.expected, at)
}

// forget drops at when its attach was never written.
func (t *tap) forget(at *attachment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expected = slices.DeleteFunc(t.expected, func(other *attachment) bool { return other == at })
}

func (s *tapSession) localLink(handle uint32) *attachment {
	if s != nil {
		for _, at := range s.links {
			if at.wire.local == handle {
				return at
			}
		}
	}
	return nil
}

func (s *tapSession) remoteLink(handle uint32) *attachment {
	if s != nil {
		for _, at := range s.links {
			if at.wire.attached && at.wire.remote == handle {
				return at
			}
		}
	}
	return nil
}

func (s *tapSession) drop(at *attachment) {
	s.links = slices.DeleteFunc(s.links, func(other *attachment) bool { return other == at })
}
