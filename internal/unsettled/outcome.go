package unsettled

import "github.com/hubwire/hubwire/internal/amqp10"

// Outcome is what is to be said about deliveries that are neighbours, in one disposition. The zero Outcome is about none.
type Outcome struct {
	any         bool
	borrowed    bool // the state is the caller's
	role        amqp10.Role
	settled     bool
	first, last uint32
	state       amqp10.State
}

// Join adds the deliveries first to last, by delivery-id. It does nothing and returns false when o is about others that are no
// neighbours of them, or that something else is to be said about: o is then to be taken first.
func (o *Outcome) Join(role amqp10.Role, settled bool, first, last uint32, state amqp10.State) bool {
	state, borrowed := lasting(state)
	if !o.any {
		*o = Outcome{true, borrowed, role, settled, first, last, state}
		return true
	}
	same := o.role == role && o.settled == settled && o.state.Equal(state)
	switch {
	case same && first == o.last+1:
		o.last = last
	case same && last == o.first-1:
		o.first = first
	default:
		return false
	}
	return true
}

// lasting returns a state that may be kept, for one that is the same everywhere; any other is borrowed.
func lasting(state amqp10.State) (s amqp10.State, borrowed bool) {
	switch state.Kind() {
	case amqp10.DescAccepted:
		return amqp10.Accepted(), false
	case amqp10.DescReleased:
		return amqp10.Released(), false
	}
	return state, !state.IsNull()
}

// Borrowed reports whether o has a state that was not copied, so that it is to be taken before the caller of Join gives that up.
func (o *Outcome) Borrowed() bool { return o.borrowed }

// Take returns the disposition that o is, which is about no delivery from then on; false if it was not before.
func (o *Outcome) Take() (d amqp10.Disposition, ok bool) {
	if !o.any {
		return d, false
	}
	d = amqp10.Disposition{Role: o.role, First: o.first, Settled: amqp10.Some(o.settled), State: o.state}
	if o.last != o.first {
		d.Last = amqp10.Some(o.last)
	}
	*o = Outcome{}
	return d, true
}
