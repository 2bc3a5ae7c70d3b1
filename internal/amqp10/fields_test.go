package amqp10

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// same compares what was written with what was read: values by their bytes, wherever they stood.
var same = cmp.Options{
	cmp.Comparer(func(a, b Value) bool { return bytes.Equal(a.AppendTo(nil), b.AppendTo(nil)) }),
	cmp.Comparer(State.Equal),
}

func text8(s string) Value { return ValueOf(AppendString(nil, s)) }

func symbolsOf(s ...string) Value { return ValueOf(AppendSymbolArray(nil, s...)) }

func mapOf(key string, v Value) Value {
	b := v.AppendTo(AppendSymbol(OpenCompound(nil), key))
	return ValueOf(CloseMap(b, 0, 2))
}

// full gives each composite with all of its fields, and with none but what must be.
func full() map[string][2]performative {
	props := mapOf("k", text8("v"))
	failure := &Error{NotFound, "no such thing", props}
	return map[string][2]performative{
		"open": {&Open{
			[]byte("c"), []byte("h"), Some(uint32(512)), Some(uint16(0)), Some(uint32(0)), symbolsOf("en"), symbolsOf("de"),
			symbolsOf("a"), symbolsOf("b", "c"), props,
		}, &Open{ContainerID: []byte{}}},
		"begin": {&Begin{Some(uint16(0)), 1, 2, 3, Some(uint32(0)), symbolsOf("a"), symbolsOf("b"), props}, &Begin{}},
		"attach": {&Attach{
			[]byte("l"), 1, RoleReceiver, Some(SendUnsettled), Some(ReceiveSecond),
			Some(Source{
				text8("s"), Some(uint32(2)), []byte("never"), Some(uint32(0)), Some(false), props, []byte("copy"),
				mapOf("f", ValueOf(AppendString(AppendWideDescriptor(nil, 0x0000468C00000004), "x > 1"))), ValueOf(Released().AppendTo(nil)),
				symbolsOf("amqp:accepted:list"), symbolsOf("queue"),
			}),
			Some(Target{false, text8("t"), Some(uint32(1)), []byte{}, Some(uint32(9)), Some(true), props, symbolsOf("topic")}),
			mapOf("tag", ValueOf(Accepted().AppendTo(nil))), Some(true), Some(uint32(0)), Some(uint64(1 << 40)), symbolsOf("a"), symbolsOf("b"), props,
		}, &Attach{Name: []byte{}}},
		"attach to a coordinator": {&Attach{
			Name: []byte("l"), Target: Some(Target{Coordinator: true, Capabilities: symbolsOf("amqp:local-transactions")}),
		}, &Attach{Name: []byte{}, Source: Some(Source{}), Target: Some(Target{})}},
		"flow": {&Flow{
			Some(uint32(0)), 1, 2, 3, Some(uint32(0)), Some(uint32(0)), Some(uint32(0)), Some(uint32(0)), Some(false), Some(true), props,
		}, &Flow{}},
		"disposition": {&Disposition{RoleReceiver, 1, Some(uint32(0)), Some(false), Rejected(failure), Some(true)}, &Disposition{}},
		"detach":      {&Detach{1, Some(false), failure}, &Detach{}},
		"end":         {&End{failure}, &End{}},
		"close":       {&Close{failure}, &Close{&Error{Condition: FramingError}}},
		"mechanisms":  {&SASLMechanisms{symbolsOf("PLAIN", "ANONYMOUS")}, &SASLMechanisms{symbolsOf()}},
		"init":        {&SASLInit{[]byte("PLAIN"), []byte("\x00a\x00b"), []byte("h")}, &SASLInit{Mechanism: []byte{}}},
		"challenge":   {&SASLChallenge{[]byte("c")}, &SASLChallenge{[]byte{}}},
		"response":    {&SASLResponse{[]byte("r")}, &SASLResponse{[]byte{}}},
		"outcome":     {&SASLOutcome{SASLSysTemp, []byte("more")}, &SASLOutcome{}},
	}
}

func TestEveryFieldIsWrittenAndRead(t *testing.T) {
	for name, two := range full() {
		for _, want := range two {
			b := want.AppendTo([]byte("before"))[len("before"):]
			got := performativeOf(PeekDescriptor(b))
			if err := got.Parse(b); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if diff := cmp.Diff(want, got, same); diff != "" {
				t.Errorf("%s: (-want +got)\n%s", name, diff)
			}
		}
		// What was there before does not stay.
		reused, bare := performativeOf(PeekDescriptor(two[0].AppendTo(nil))), two[1].AppendTo(nil)
		reused.Parse(two[0].AppendTo(nil))
		if err := reused.Parse(bare); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(two[1], reused, same); diff != "" {
			t.Errorf("%s, parsed again: (-want +got)\n%s", name, diff)
		}
	}
}

func TestATransferIsWrittenAndReadWithItsPayload(t *testing.T) {
	for _, want := range []Transfer{
		{},
		{
			1, Some(uint32(0)), []byte{}, Some(uint32(0x80013700)), Some(true), Some(false), Some(ReceiveSecond), Received{7, 1 << 40}.State(),
			Some(true), Some(false), Some(true),
		},
		{Handle: 300, DeliveryTag: bytes.Repeat([]byte("t"), MaxDeliveryTag)},
	} {
		var got Transfer
		payload, err := got.Parse(append(want.AppendTo(nil), "payload"...))
		if diff := cmp.Diff(want, got, same); diff != "" || err != nil || string(payload) != "payload" {
			t.Errorf("%q, %v (-want +got)\n%s", payload, err, diff)
		}
	}
	long := Transfer{DeliveryTag: make([]byte, MaxDeliveryTag+1)}
	if _, err := long.Parse(long.AppendTo(nil)); !errors.Is(err, ErrRange) {
		t.Errorf("a delivery tag of %d bytes: %v", MaxDeliveryTag+1, err)
	}
}

func TestWhatMustNotBeNullIsMissed(t *testing.T) {
	for name, c := range map[string]struct {
		hex   string
		field int
	}{
		"an open without a container-id":            {"00 53 10 45", 0},
		"an open whose container-id is null":        {"00 53 10 c0 02 01 40", 1},
		"a begin without windows":                   {"00 53 11 c0 03 02 40 43", 2},
		"an attach without a role":                  {"00 53 12 c0 05 02 a1 01 'l' 43", 2},
		"an attach whose handle is null":            {"00 53 12 c0 06 03 a1 01 'l' 40 41", 2},
		"a flow without windows":                    {"00 53 13 45", 0},
		"a transfer without a handle":               {"00 53 14 45", 0},
		"a disposition without a first":             {"00 53 15 c0 02 01 41", 1},
		"a detach without a handle":                 {"00 53 16 45", 0},
		"a close with an error without a condition": {"00 53 18 c0 05 01 00 53 1d 45", 0},
		"mechanisms of null":                        {"00 53 40 45", 0},
		"an init without a mechanism":               {"00 53 41 45", 0},
		"a challenge of null":                       {"00 53 42 45", 0},
		"a response of null":                        {"00 53 43 45", 0},
		"an outcome without a code":                 {"00 53 44 45", 0},
	} {
		err := parseBody(unhex(t, c.hex))
		var got *SyntaxError
		if !errors.As(err, &got) || got.Err != ErrMissing || got.Field != c.field {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatIsOfAnotherTypeIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		hex  string
		want SyntaxError
	}{
		"a list that is not described":    {"c0 03 01 a1 00", SyntaxError{What: DescOpen, Offset: 1, Err: ErrType}},
		"another performative":            {"00 53 11 45", SyntaxError{What: DescOpen, Offset: 1, Err: ErrDescriptor}},
		"null":                            {"40", SyntaxError{What: DescOpen, Offset: 1, Err: ErrMissing}},
		"an open that is a map":           {"00 53 10 c1 01 00", SyntaxError{What: DescOpen, Offset: 4, Err: ErrType}},
		"a container-id that is a number": {"00 53 10 c0 02 01 43", SyntaxError{What: DescOpen, Field: 1, Offset: 7, Err: ErrType}},
		"properties that are a list":      {"00 53 10 c0 0c 0a a1 00 40 40 40 40 40 40 40 40 45", SyntaxError{What: DescOpen, Field: 10, Offset: 17, Err: ErrType}},
		"capabilities that are a map":     {"00 53 10 c0 0c 08 a1 00 40 40 40 40 40 40 c1 01 00", SyntaxError{What: DescOpen, Field: 8, Offset: 17, Err: ErrType}},
	} {
		t.Run(name, func(t *testing.T) {
			wantFault(t, new(Open).Parse(unhex(t, c.hex)), c.want)
		})
	}
	for name, hex := range map[string]string{
		"a source that is a target": "00 53 12 c0 0b 06 a1 00 43 41 40 40 00 53 29 45",
		"a target that is a source": "00 53 12 c0 0c 07 a1 00 43 41 40 40 40 00 53 28 45",
		"an error that is a source": "00 53 16 c0 07 03 43 41 00 53 28 45",
	} {
		if err := parseBody(unhex(t, hex)); !errors.Is(err, ErrDescriptor) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, hex := range map[string]string{
		"a state that is text":    "00 53 15 c0 07 05 41 43 40 41 a1 00",
		"a state that is a list":  "00 53 15 c0 06 05 41 43 40 41 45",
		"an error that is text":   "00 53 18 c0 03 01 a1 00",
		"a source that is a list": "00 53 12 c0 08 06 a1 00 43 41 40 40 45",
	} {
		if err := parseBody(unhex(t, hex)); !errors.Is(err, ErrType) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMoreFieldsThanTheStandardKnowsAreIgnored(t *testing.T) {
	for name, two := range full() {
		b := two[0].AppendTo(nil)
		r := NewReader(b)
		_, list, _ := r.Value().Described()
		items, _ := list.List()
		dst, n := appendAllShortest(OpenCompound(bytes.Clone(b[:3])), items)
		for ; n < 16; n++ {
			dst = AppendNull(dst)
		}
		dst = AppendString(dst, "one more")
		if got := rewriteBody(t, CloseList(dst, 3, n+1)); !bytes.Equal(got, rewriteBody(t, b)) {
			t.Errorf("%s:\n got %x\nwant %x", name, got, b)
		}
	}
}

func TestWhatIsInAFieldIsLookedAt(t *testing.T) {
	deep := []byte{CodeNull}
	for range MaxDepth {
		deep = nest["list"](deep)
	}
	for name, c := range map[string]struct {
		value []byte
		err   error
	}{
		"a key without a value":       {unhex(t, "c1 02 01 43"), ErrCount},
		"a value that is cut":         {unhex(t, "c1 06 02 a3 01 'k' a1 05"), ErrTruncated},
		"a value of no format code":   {unhex(t, "c1 05 02 a3 01 'k' 01"), ErrCode},
		"a list in it that goes on":   {unhex(t, "c1 08 02 a3 01 'k' c0 02 00 40"), ErrTrailing},
		"values nested without bound": {mapOf("k", ValueOf(deep)).AppendTo(nil), ErrDepth},
		"four thousand million nulls": {mapOf("k", ValueOf(unhex(t, "f0 00 00 00 05 ff ff ff ff 40"))).AppendTo(nil), ErrCount},
	} {
		t.Run(name, func(t *testing.T) {
			bad := ValueOf(c.value)
			if bad.Kind() != KindMap {
				t.Fatalf("a %v", bad.Kind())
			}
			for field, p := range map[int]performative{
				10: &Open{Properties: bad}, 8: &Begin{Properties: bad}, 14: &Attach{Properties: bad}, 11: &Flow{Properties: bad},
			} {
				var got *SyntaxError
				b := p.AppendTo(nil)
				if err := parseBody(b); !errors.As(err, &got) || got.Err != c.err || got.Field != field || got.What != PeekDescriptor(b) {
					t.Errorf("%T: %v", p, err)
				}
			}
			source := &Attach{Source: Some(Source{Filter: bad})}
			var got *SyntaxError
			if err := source.Parse(source.AppendTo(nil)); !errors.As(err, &got) || got.Err != c.err || got.What != DescSource || got.Field != 8 {
				t.Errorf("as a filter: %v", err)
			}
			modified := create(nil, DescModified)
			modified.nulls = 2
			modified.value(bad)
			outcome := Disposition{State: State{value: ValueOf(modified.close())}}
			if err := parseBody(outcome.AppendTo(nil)); !errors.Is(err, c.err) {
				t.Errorf("as annotations of an outcome: %v", err)
			}
		})
	}
}
