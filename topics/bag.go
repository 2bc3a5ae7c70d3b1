package topics

import (
	"bytes"
	"iter"

	"github.com/hubwire/hubwire"
)

// Bag is a property bag as it stands in a topic: names and values,
// percent-encoded, in order, duplicates kept.
//
//	bag  = [ pair *( "&" pair ) ]
//	pair = name [ "=" value ]
//
// A Bag from [Topic.Bag] is a view of the topic. Empty pairs are skipped, and a
// pair is split at its first '='.
type Bag []byte

// Pair is one property of a [Bag]. From [Bag.Next], [Bag.Pairs] and [Bag.Find]
// it is a view of the bag, percent-encoded, and its methods decode. From
// [Bag.AppendDecoded] it is decoded: use its fields.
type Pair struct {
	Name, Value []byte // see above for whether they are decoded
	Null        bool   // there was no '=': a null value, which an empty one is not
}

// AppendName appends the decoded name of an encoded pair (see [AppendUnescape]).
func (p Pair) AppendName(dst []byte) []byte { return AppendUnescape(dst, p.Name) }

// AppendValue appends the decoded value of an encoded pair (see [AppendUnescape]).
func (p Pair) AppendValue(dst []byte) []byte { return AppendUnescape(dst, p.Value) }

// Is reports whether the decoded name of an encoded pair is name.
func (p Pair) Is(name string) bool {
	if bytes.IndexByte(p.Name, '%') < 0 {
		return string(p.Name) == name
	}
	var room [64]byte
	return string(AppendUnescape(room[:0], p.Name)) == name
}

// System returns which system property an encoded pair is, or 0.
func (p Pair) System() System {
	if bytes.HasPrefix(p.Name, []byte("%24.")) && bytes.IndexByte(p.Name[4:], '%') < 0 {
		return lookupShort(p.Name[4:])
	}
	if bytes.IndexByte(p.Name, '%') < 0 {
		return LookupSystem(p.Name)
	}
	var room [64]byte
	return LookupSystem(AppendUnescape(room[:0], p.Name))
}

// Next returns the first pair, encoded, and the bag after it. At the end, ok is false.
func (b Bag) Next() (p Pair, rest Bag, ok bool) {
	for len(b) > 0 {
		pair := b
		if i := bytes.IndexByte(b, '&'); i >= 0 {
			pair, b = b[:i:i], b[i+1:]
		} else {
			b = nil
		}
		if len(pair) == 0 {
			continue
		}
		if i := bytes.IndexByte(pair, '='); i >= 0 {
			return Pair{Name: pair[:i:i], Value: pair[i+1:]}, b, true
		}
		return Pair{Name: pair, Null: true}, b, true
	}
	return Pair{}, nil, false
}

// Pairs ranges over the pairs, encoded. It does not allocate.
func (b Bag) Pairs() iter.Seq[Pair] {
	return func(yield func(Pair) bool) {
		for p, rest, ok := b.Next(); ok; p, rest, ok = rest.Next() {
			if !yield(p) {
				return
			}
		}
	}
}

// All ranges over names and values, decoded and copied; null values are "". It
// allocates for each; [Bag.AppendDecoded] does not.
func (b Bag) All() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for p := range b.Pairs() {
			if !yield(unescape(p.Name), unescape(p.Value)) {
				return
			}
		}
	}
}

// AppendProperties appends each pair to dst, decoded and copied; null values are
// "". It allocates for names and values, and to grow dst.
func (b Bag) AppendProperties(dst []hubwire.Property) []hubwire.Property {
	for name, value := range b.All() {
		dst = append(dst, hubwire.Property{Name: name, Value: value})
	}
	return dst
}

// unescape returns a copy of s, decoded.
func unescape(s []byte) string {
	if bytes.IndexByte(s, '%') < 0 {
		return string(s)
	}
	var room [128]byte
	return string(AppendUnescape(room[:0], s))
}

// Find returns the first pair of that decoded name, encoded.
func (b Bag) Find(name string) (p Pair, ok bool) {
	for p := range b.Pairs() {
		if p.Is(name) {
			return p, true
		}
	}
	return Pair{}, false
}

// AppendProperty appends a property, and an '&' before it unless dst is empty or
// ends with '/' or '?', as a topic does before its bag:
//
//	dst = topics.AppendTelemetry(dst, id)
//	dst = topics.AppendProperty(dst, "room", "Küche #1")
//
// Name and value are escaped but for letters, digits and "-._", which every
// official SDK decodes alike. An empty name does not survive; an empty value
// reads "name=", which the Java SDK cannot receive.
func AppendProperty[N, V Text](dst []byte, name N, value V) []byte {
	dst = appendEscaped(appendSeparator(dst), name, bagEscapes)
	return appendEscaped(append(dst, '='), value, bagEscapes)
}

// AppendNull appends a property with a null value, which is a name alone. The
// Java SDK cannot receive one.
func AppendNull[N Text](dst []byte, name N) []byte {
	return appendEscaped(appendSeparator(dst), name, bagEscapes)
}

// AppendSystem appends the system property s as [AppendProperty] does, with its
// name as the C SDK needs it ("%24.mid"). An s that is not valid appends nothing.
func AppendSystem[V Text](dst []byte, s System, value V) []byte {
	if s == 0 || int(s) >= len(systemPrefixes) {
		return dst
	}
	prefix := systemPrefixes[s]
	if atStart(dst) {
		prefix = prefix[1:]
	}
	return appendEscaped(append(dst, prefix...), value, bagEscapes)
}

func appendSeparator(dst []byte) []byte {
	if atStart(dst) {
		return dst
	}
	return append(dst, '&')
}

// atStart reports whether a bag begins at the end of dst. No escaped text ends
// with either character.
func atStart(dst []byte) bool {
	if len(dst) == 0 {
		return true
	}
	c := dst[len(dst)-1]
	return c == '/' || c == '?'
}
