package amqp10

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/internal/testkit"
)

func TestAMessageIsPutTogetherOfItsFrames(t *testing.T) {
	more, id := Some(true), Some[uint32](7)
	tests := []struct {
		name   string
		frames []Transfer // with a payload of "a", "b" and so on
		want   Transfer
	}{
		{"what further frames leave out is as in the first",
			[]Transfer{{Handle: 1, DeliveryID: id, MessageFormat: Some[uint32](0), Settled: Some(true), ReceiveMode: Some(ReceiveSecond), More: more}, {Handle: 1, More: more}, {Handle: 1}},
			Transfer{Handle: 1, DeliveryID: id, MessageFormat: Some[uint32](0), Settled: Some(true), ReceiveMode: Some(ReceiveSecond), More: more}},
		{"a further frame can settle it",
			[]Transfer{{DeliveryID: id, Settled: Some(false), More: more}, {Settled: Some(true), More: more}, {Settled: Some(false)}},
			Transfer{DeliveryID: id, Settled: Some(true), More: more}},
		{"a further frame can set the mode",
			[]Transfer{{DeliveryID: id, ReceiveMode: Some(ReceiveSecond), More: more}, {ReceiveMode: Some(ReceiveFirst)}},
			Transfer{DeliveryID: id, ReceiveMode: Some(ReceiveFirst), More: more}},
		{"states on the way are passed over",
			[]Transfer{{DeliveryID: id, State: Accepted(), More: more}, {State: Released()}},
			Transfer{DeliveryID: id, More: more}},
		{"one frame is enough", []Transfer{{DeliveryID: id}}, Transfer{DeliveryID: id}},
	}
	var p *Partial
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tag := []byte("tag")
			tt.frames[0].DeliveryTag = tag
			p = BeginPartial(p, &tt.frames[0]) // in the memory of the test before
			clear(tag)
			var want []byte
			for i := range tt.frames {
				payload := []byte{byte('a' + i)}
				want = append(want, payload...)
				if whole := p.Add(&tt.frames[i], payload); whole != (i == len(tt.frames)-1) {
					t.Errorf("after %d of %d frames: whole is %v", i+1, len(tt.frames), whole)
				}
				clear(payload)
			}
			if !bytes.Equal(p.Message, want) {
				t.Errorf("the message is %q, want %q", p.Message, want)
			}
			tt.want.DeliveryTag = []byte("tag")
			if diff := cmp.Diff(tt.want.AppendTo(nil), p.Head.AppendTo(nil)); diff != "" {
				t.Errorf("its head (-want +got)\n%s", diff)
			}
		})
	}
}

func TestAFrameOfAnotherDeliveryDoesNotContinueOne(t *testing.T) {
	p := BeginPartial(nil, &Transfer{DeliveryID: Some[uint32](7), More: Some(true)})
	for _, tt := range []struct {
		name string
		id   Opt[uint32]
		want bool
	}{
		{"the same id", Some[uint32](7), true},
		{"no id", Opt[uint32]{}, true},
		{"another id", Some[uint32](8), false},
		{"the id 0", Some[uint32](0), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := p.Continues(&Transfer{DeliveryID: tt.id}); got != tt.want {
				t.Errorf("continues: %v, want %v", got, tt.want)
			}
		})
	}
}

func TestASparePartialIsAllThatTheNextOneTakes(t *testing.T) {
	spare := new(Partial)
	first, last := Transfer{DeliveryTag: []byte("tag"), More: Some(true)}, Transfer{}
	payload := make([]byte, 100)
	testkit.NoAllocs(t, "a message of two frames", func() {
		spare = BeginPartial(spare, &first)
		spare.Add(&first, payload)
		spare.Add(&last, payload)
	})
}
