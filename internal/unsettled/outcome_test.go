package unsettled

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/testkit"
)

// said is what Join is told.
type said struct {
	role        amqp10.Role
	settled     bool
	first, last uint32
	state       amqp10.State
}

func (s said) join(o *Outcome) bool { return o.Join(s.role, s.settled, s.first, s.last, s.state) }

func TestNeighboursWithTheSameOutcomeAreOneDisposition(t *testing.T) {
	const (
		sender   = amqp10.RoleSender
		receiver = amqp10.RoleReceiver
		most     = math.MaxUint32
	)
	accepted, released, rejected := amqp10.Accepted(), amqp10.Released(), amqp10.Rejected(nil)
	five := said{receiver, true, 5, 5, accepted}
	tests := []struct {
		name        string
		one, two    said
		first, last uint32 // of the disposition
		joined      bool
	}{
		{"the next delivery", five, said{receiver, true, 6, 6, accepted}, 5, 6, true},
		{"those that follow", five, said{receiver, true, 6, 9, accepted}, 5, 9, true},
		{"the one before", five, said{receiver, true, 4, 4, accepted}, 4, 5, true},
		{"those before", five, said{receiver, true, 2, 4, accepted}, 2, 5, true},
		{"the next where the ids begin again", said{receiver, true, most, most, released}, said{receiver, true, 0, 0, released}, most, 0, true},
		{"the one before where they do", said{receiver, true, 0, 0, accepted}, said{receiver, true, most, most, accepted}, most, 0, true},
		{"without an outcome", said{receiver, true, 5, 5, amqp10.State{}}, said{receiver, true, 6, 6, amqp10.State{}}, 5, 6, true},
		{"a gap behind", five, said{receiver, true, 7, 7, accepted}, 5, 5, false},
		{"a gap before", five, said{receiver, true, 3, 3, accepted}, 5, 5, false},
		{"another outcome", five, said{receiver, true, 6, 6, released}, 5, 5, false},
		{"one that is the caller's", five, said{receiver, true, 6, 6, rejected}, 5, 5, false},
		{"settled, and not", five, said{receiver, false, 6, 6, accepted}, 5, 5, false},
		{"the other role", five, said{sender, true, 6, 6, accepted}, 5, 5, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var o Outcome
			if !tt.one.join(&o) {
				t.Fatal("an empty outcome is not joined to")
			}
			if got := tt.two.join(&o); got != tt.joined {
				t.Errorf("joined: %v, want %v", got, tt.joined)
			}
			check(t, &o, tt.one, tt.first, tt.last)
			if _, ok := o.Take(); ok {
				t.Error("it is there still, when it was taken")
			}
			if !tt.joined {
				if !tt.two.join(&o) {
					t.Error("an outcome that was taken is not joined to")
				}
				check(t, &o, tt.two, tt.two.first, tt.two.last)
			}
		})
	}
}

// check takes what o is, and looks whether it says what was said, of these deliveries.
func check(t *testing.T, o *Outcome, s said, first, last uint32) {
	t.Helper()
	want := amqp10.Disposition{Role: s.role, First: first, Settled: amqp10.Some(s.settled), State: s.state}
	if first != last {
		want.Last = amqp10.Some(last)
	}
	got, ok := o.Take()
	if diff := cmp.Diff(want.AppendTo(nil), got.AppendTo(nil)); !ok || diff != "" {
		t.Errorf("taken: %v (-want +got)\n%s", ok, diff)
	}
}

func TestAStateOfTheCallersIsBorrowed(t *testing.T) {
	for name, tt := range map[string]struct {
		state    amqp10.State
		borrowed bool
	}{
		"accepted": {amqp10.Accepted(), false},
		"released": {amqp10.Released(), false},
		"null":     {amqp10.State{}, false},
		"rejected": {amqp10.Rejected(nil), true},
		"modified": {amqp10.Modified{}.State(), true},
	} {
		t.Run(name, func(t *testing.T) {
			var o Outcome
			o.Join(amqp10.RoleReceiver, true, 1, 1, tt.state)
			if got := o.Borrowed(); got != tt.borrowed {
				t.Errorf("borrowed: %v, want %v", got, tt.borrowed)
			}
			if o.Take(); o.Borrowed() {
				t.Error("borrowed still, when it was taken")
			}
		})
	}
}

// What is the same everywhere does not keep the buffer that it was read from.
func TestAnOutcomeThatIsKeptIsNotAView(t *testing.T) {
	read := amqp10.Accepted().AppendTo(nil)
	in := amqp10.NewReader(read)
	var o Outcome
	o.Join(amqp10.RoleReceiver, true, 1, 1, in.State())
	clear(read)
	check(t, &o, said{amqp10.RoleReceiver, true, 1, 1, amqp10.Accepted()}, 1, 1)
}

func TestOutcomesCostNoMemory(t *testing.T) {
	var o Outcome
	buf := make([]byte, 0, 64)
	testkit.NoAllocs(t, "a thousand that are joined", func() {
		for id := range uint32(1000) {
			o.Join(amqp10.RoleReceiver, true, id, id, amqp10.Accepted())
		}
		d, _ := o.Take()
		buf = d.AppendTo(buf[:0])
	})
}
