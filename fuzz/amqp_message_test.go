package fuzz

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// seedMessages adds the golden messages, and a few that are odd.
func seedMessages(f *testing.F) {
	f.Helper()
	text, err := os.ReadFile("../amqp/testdata/amqp.json")
	if err != nil {
		f.Fatal(err)
	}
	var file struct{ Messages []struct{ Hex string } }
	if err := json.Unmarshal(text, &file); err != nil {
		f.Fatal(err)
	}
	for _, odd := range []string{
		"", "00537645", "005372c10502a3016b40", "005375a00178005375a00179", "005375a00178005377a00179", "005377c10100", "00a310616d71703a646174613a62696e617279a00178",
		"005372d1ffffffffffffffff", "005372c10902a3016bc0044001020340", "005372c1090281016bc0044001020340", "005374c10f04a1016b7140000000a1016b8201", "00537045", "0053764500537845",
	} {
		file.Messages = append(file.Messages, struct{ Hex string }{odd})
	}
	for _, m := range file.Messages {
		b, err := hex.DecodeString(m.Hex)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
}

// A message that is taken has sections that the general reader takes one by one, and is
// read as go-amqp reads it, when that takes it too. What go-amqp writes is taken, and says the same.
func FuzzAMQPMessage(f *testing.F) {
	seedMessages(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := amqp.ParseMessage(bytes.Clone(b))
		if err == nil {
			for r := amqp10.NewReader(b); r.More(); {
				if _, v := r.Section(); r.Err() != nil || v.Check() != nil {
					t.Fatalf("%x is taken, and one of its sections is not: %v, %v", b, r.Err(), v.Check())
				}
			}
		}
		var peer goamqp.Message
		if !unmarshal(&peer, b) {
			return
		}
		if err == nil {
			sameParts(t, b, &m, &peer)
		}
		if severalBodies(&peer) || !keyed(peer.Annotations) || !keyed(peer.DeliveryAnnotations) {
			return
		}
		again, err := peer.MarshalBinary()
		if err != nil || peer.Properties != nil && !(isID(peer.Properties.MessageID) && isID(peer.Properties.CorrelationID)) {
			return
		}
		ours, err := amqp.ParseMessage(again)
		if err != nil {
			t.Fatalf("%x: what go-amqp makes of it, %x, is refused: %v", b, again, err)
		}
		sameParts(t, again, &ours, &peer)
	})
}

// unmarshal reads a message with go-amqp. It panics on some, which is theirs to mend.
func unmarshal(m *goamqp.Message, b []byte) (ok bool) {
	defer func() { ok = recover() == nil && ok }()
	return m.UnmarshalBinary(b) == nil
}

// severalBodies reports whether m has bodies of more than one kind, which the standard does not allow (part 3 section 3.2).
// go-amqp takes and writes them.
func severalBodies(m *goamqp.Message) bool {
	kinds := 0
	for _, has := range []bool{len(m.Data) > 0, len(m.Sequence) > 0, m.Value != nil} {
		if has {
			kinds++
		}
	}
	return kinds > 1
}

// keyed reports whether the keys of annotations are symbols or numbers, as the standard has them (part 3 section 3.2.10).
// go-amqp takes any.
func keyed(entries goamqp.Annotations) bool {
	for key := range entries {
		switch key.(type) {
		case string, goamqp.Symbol, uint64:
		default:
			return false
		}
	}
	return true
}

// isID reports whether an id has a type that the standard allows. go-amqp takes any.
func isID(v any) bool {
	switch v.(type) {
	case nil, string, goamqp.Symbol, uint8, uint16, uint32, uint64, []byte, goamqp.UUID:
		return true
	}
	return false
}

// sameParts compares what both can say of a message.
func sameParts(t *testing.T, b []byte, m *amqp.Message, peer *goamqp.Message) {
	t.Helper()
	want := map[string]any{"data": fmt.Sprintf("%q", peer.Data)}
	for key, v := range peer.ApplicationProperties {
		put(want, "application property "+key, v)
	}
	for name, entries := range map[string]goamqp.Annotations{"annotation ": peer.Annotations, "delivery annotation ": peer.DeliveryAnnotations} {
		for key, v := range entries {
			if _, number := key.(uint64); !number { // which ours passes over
				put(want, name+fmt.Sprint(key), v)
			}
		}
	}
	if p := peer.Properties; p != nil {
		put(want, "message id", p.MessageID)
		put(want, "correlation id", p.CorrelationID)
		for name, s := range map[string]*string{"to": p.To, "reply to": p.ReplyTo, "content type": p.ContentType, "content encoding": p.ContentEncoding} {
			if s != nil {
				want[name] = *s
			}
		}
	}
	got := map[string]any{}
	var data [][]byte
	for s := range m.Sections() {
		data = append(data, s)
	}
	got["data"] = fmt.Sprintf("%q", data)
	for name, entries := range map[string]amqp.Map{
		"annotation ": m.Annotations(), "delivery annotation ": m.DeliveryAnnotations(), "application property ": m.ApplicationProperties(),
	} {
		for key, v := range entries.All() {
			put(got, name+string(key), simple(v))
		}
	}
	put(got, "message id", simple(m.MessageID()))
	put(got, "correlation id", simple(m.CorrelationID()))
	for name, s := range map[string][]byte{"to": m.To(), "reply to": m.ReplyTo(), "content type": m.ContentType(), "content encoding": m.ContentEncoding()} {
		if s != nil {
			got[name] = string(s)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%x (-go-amqp +ours):\n%s", b, diff)
	}
}

// put puts what both libraries have the same Go type for, as text with its type.
func put(into map[string]any, key string, v any) {
	switch v := v.(type) {
	case string, goamqp.Symbol:
		into[key] = fmt.Sprintf("text %s", v)
	case bool, uint8, uint16, uint32, uint64, int8, int16, int32, int64, float32, float64, []byte, goamqp.UUID:
		into[key] = fmt.Sprintf("%T %v", v, v)
	case time.Time:
		into[key] = fmt.Sprintf("time %d", v.UnixMilli())
	default: // null, or what has other values in it
		into[key] = "other"
		if v == nil {
			delete(into, key)
		}
	}
}

// simple returns the value that go-amqp has for v, or something else for what it has none for.
func simple(v amqp.Value) any {
	n, _ := v.Int()
	u, _ := v.Uint()
	switch v.Kind() {
	case amqp10.KindNull:
		return nil
	case amqp10.KindString, amqp10.KindSymbol:
		s, _ := v.Text()
		return string(s)
	case amqp10.KindBinary:
		b, _ := v.Binary()
		return b
	case amqp10.KindBool:
		b, _ := v.Bool()
		return b
	case amqp10.KindUbyte:
		return uint8(u)
	case amqp10.KindUshort:
		return uint16(u)
	case amqp10.KindUint:
		return uint32(u)
	case amqp10.KindUlong:
		return u
	case amqp10.KindByte:
		return int8(n)
	case amqp10.KindShort:
		return int16(n)
	case amqp10.KindInt:
		return int32(n)
	case amqp10.KindLong:
		return n
	case amqp10.KindFloat:
		x, _ := v.Float()
		return float32(x)
	case amqp10.KindDouble:
		x, _ := v.Float()
		return x
	case amqp10.KindTimestamp:
		ms, _ := v.Timestamp()
		return time.UnixMilli(ms)
	case amqp10.KindUUID:
		id, _ := v.UUID()
		return goamqp.UUID(id)
	}
	return struct{}{}
}
