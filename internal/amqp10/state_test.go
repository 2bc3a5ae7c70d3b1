package amqp10

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStatesSayWhatTheyAre(t *testing.T) {
	failure := &Error{NotAllowed, "no", mapOf("k", text8("v"))}
	modified := Modified{Some(true), Some(false), mapOf("k", text8("v"))}
	received := Received{1, 1 << 33}
	for _, c := range []struct {
		name     string
		state    State
		kind     Descriptor
		terminal bool
		hex      string
	}{
		{"null", State{}, 0, false, "40"},
		{"accepted", Accepted(), DescAccepted, true, "00 53 24 45"},
		{"released", Released(), DescReleased, true, "00 53 26 45"},
		{"rejected without an error", Rejected(nil), DescRejected, true, "00 53 25 45"},
		{"rejected", Rejected(failure), DescRejected, true,
			"00 53 25 c0 26 01 00 53 1d c0 20 03 a3 10 'amqp:not-allowed' a1 02 'no' c1 07 02 a3 01 'k' a1 01 'v'"},
		{"modified", modified.State(), DescModified, true, "00 53 27 c0 0c 03 41 42 c1 07 02 a3 01 'k' a1 01 'v'"},
		{"modified in no way", Modified{}.State(), DescModified, true, "00 53 27 45"},
		{"received", received.State(), DescReceived, false, "00 53 23 c0 0c 02 52 01 80 0000000200000000"},
		{"of a transaction", ValueOf(unhex(t, "00 53 34 c0 04 01 a0 01 'x'")).state(), DescTransactional, false, "00 53 34 c0 04 01 a0 01 'x'"},
		{"of somebody else", ValueOf(unhex(t, "00 a3 05 'x:y:z' 45")).state(), 0, false, "00 a3 05 'x:y:z' 45"},
		{"accepted, by a symbol", ValueOf(unhex(t, "00 a3 12 'amqp:accepted:list' 45")).state(), DescAccepted, true, "00 a3 12 'amqp:accepted:list' 45"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := unhex(t, c.hex)
			r := NewReader(b)
			got := r.State()
			if r.Done() != nil || !got.Equal(c.state) {
				t.Errorf("%v: read as %x, want %x", r.Err(), got.AppendTo(nil), c.state.AppendTo(nil))
			}
			if diff := cmp.Diff(b, c.state.AppendTo(nil)); diff != "" {
				t.Errorf("written (-want +got)\n%s", diff)
			}
			if got.Kind() != c.kind || got.Terminal() != c.terminal || got.IsNull() != (c.name == "null") {
				t.Errorf("kind %v, terminal %v, null %v", got.Kind(), got.Terminal(), got.IsNull())
			}
			kept := got.Clone()
			clear(b)
			if !kept.Equal(c.state) || kept.Kind() != c.kind {
				t.Errorf("the clone is %x", kept.AppendTo(nil))
			}
		})
	}
	if e, err := Rejected(failure).Error(); err != nil || cmp.Diff(failure, e, same) != "" {
		t.Errorf("%v, %v", e, err)
	}
	for _, s := range []State{{}, Accepted(), Rejected(nil)} {
		if e, err := s.Error(); e != nil || err != nil {
			t.Errorf("%v: %v, %v", s.Kind(), e, err)
		}
	}
	if m, err := modified.State().Modified(); err != nil || cmp.Diff(modified, m, same) != "" {
		t.Errorf("%v, %v", m, err)
	}
	if r, err := received.State().Received(); err != nil || r != received {
		t.Errorf("%v, %v", r, err)
	}
}

func (v Value) state() State {
	r := v.reader()
	return r.State()
}

func TestAStateIsNotReadAsAnother(t *testing.T) {
	for _, s := range []State{{}, Accepted(), Received{}.State()} {
		if _, err := s.Modified(); err == nil {
			t.Errorf("%v is modified", s.Kind())
		}
	}
	for _, s := range []State{{}, Accepted(), Modified{}.State()} {
		if _, err := s.Received(); err == nil {
			t.Errorf("%v is received", s.Kind())
		}
	}
	bad := ValueOf(unhex(t, "00 53 25 c0 02 01 43")).state()
	if e, err := bad.Error(); e != nil || !errors.Is(err, ErrType) {
		t.Errorf("%v, %v", e, err)
	}
}

func TestAnErrorOwnsWhatItHas(t *testing.T) {
	b := (&Close{&Error{ConnectionForced, "go away", mapOf("k", text8("v"))}}).AppendTo(nil)
	var c Close
	if err := c.Parse(b); err != nil {
		t.Fatal(err)
	}
	clear(b)
	v, _ := c.Error.Info.Lookup("k")
	if s, _ := v.Text(); string(s) != "v" || c.Error.Error() != "amqp:connection:forced: go away" {
		t.Errorf("%v, %q", c.Error, s)
	}
}

func TestAnErrorSaysItsConditionAndDescription(t *testing.T) {
	for want, e := range map[string]*Error{
		"amqp10: no error":        nil,
		"amqp:not-found":          {Condition: NotFound},
		"amqp:not-found: nowhere": {Condition: NotFound, Description: "nowhere"},
		"amqp:not-found: a  b":    {Condition: NotFound, Description: "a\r\nb\n"},
	} {
		if got := e.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := (*Error)(nil).AppendTo(nil); len(got) != 1 || got[0] != CodeNull {
		t.Errorf("no error is %x", got)
	}
	long := &Error{Condition: InternalError, Description: strings.Repeat("x", 1000)}
	var e End
	if err := e.Parse((&End{long}).AppendTo(nil)); err != nil || e.Error.Description != long.Description {
		t.Errorf("%v, %v", e.Error, err)
	}
}
