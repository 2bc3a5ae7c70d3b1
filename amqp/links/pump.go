package links

import (
	"slices"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpclient"
)

// pumpCredit is how many messages the peer may send ahead of a pump.
const pumpCredit = 100

// pump gives each message that comes by a link to f, in order, as long as the device lives. f may take its time, which holds up what
// comes behind, but not the connection. What the hub has not settled is accepted when f returns.
//
// It has a goroutine only while something is there: of a thousand devices most wait for messages that seldom come.
type pump struct {
	in *incoming
	f  func(generation, []byte)

	mu      sync.Mutex
	queue   []arrival // at most pumpCredit of an attachment, and of others as much again
	running bool
}

// arrival is a message that came by an attachment. It has a copy of it.
type arrival struct {
	gen     generation
	link    *amqpclient.Receiver
	id      uint32
	settled bool
	tag     []byte
	message []byte
}

// arrived copies a delivery.
func arrived(gen generation, d *amqpclient.Delivery) arrival {
	b := make([]byte, len(d.Message)+len(d.Tag))
	n := copy(b, d.Message)
	copy(b[n:], d.Tag)
	return arrival{gen, d.Link, d.ID, d.Settled, b[n:], b[:n:n]}
}

// read returns what parse, of package amqp, makes of a message that came, which may be a view of it.
func read[T any](message []byte, parse func(*amqp.Message) (T, error)) (t T, err error) {
	m, err := amqp.ParseMessage(message)
	if err != nil {
		return t, &hubwire.Error{Code: hubwire.DeserializationError, Outcome: hubwire.Refused, Err: err}
	}
	if t, err = parse(&m); err != nil {
		var none T
		return none, err
	}
	return t, nil
}

// push is the link's delivery.
func (p *pump) push(gen generation, d *amqpclient.Delivery) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) >= 2*pumpCredit { // of links that are lost, as the hub knows
		p.queue = slices.DeleteFunc(p.queue, func(a arrival) bool { return a.gen != gen })
	}
	p.queue = append(p.queue, arrived(gen, d))
	if !p.running {
		p.running = p.in.start(p.run)
	}
}

// run gives f what is there, until there is no more.
func (p *pump) run() {
	finished := false
	defer func() {
		if !finished { // f has ended the goroutine, not what others wait for
			p.mu.Lock()
			defer p.mu.Unlock()
			p.running = p.in.start(p.run)
		}
	}()
	for a, ok := p.next(); ok; a, ok = p.next() {
		p.give(a)
	}
	finished = true
}

func (p *pump) give(a arrival) {
	defer take(a.link, a.id, a.settled)
	p.f(a.gen, a.message)
}

// next takes the oldest message, or ends the pump: what comes from then on starts it again.
func (p *pump) next() (a arrival, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 || p.in.d.e.life.Err() != nil {
		p.queue, p.running = nil, false
		return a, false
	}
	a = p.queue[0]
	p.queue[0] = arrival{}
	p.queue = p.queue[1:]
	return a, true
}

// take tells the peer that a message was taken, and may be followed by another one.
func take(from *amqpclient.Receiver, id uint32, settled bool) {
	if !settled {
		_ = from.Dispose(id, id, amqp10.Accepted())
	}
	from.AddCredit(1)
}
