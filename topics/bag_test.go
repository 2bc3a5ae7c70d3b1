package topics_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/topics"
)

func p(name, value string) pair { return pair{name, &value} }
func null(name string) pair     { return pair{Name: name} }

// bags that come from SDKs, and others, with what they say.
var bags = []struct {
	name, bag string
	raw       []pair // as it stands there; nil if that is what want has
	want      []pair
}{
	{"nothing", "", nil, nil},
	{"one property", "a=b", nil, []pair{p("a", "b")}},
	{"a name alone is null", "k", nil, []pair{null("k")}},
	{"a name with an equals sign is empty", "k=", nil, []pair{p("k", "")}},
	{"a value without a name", "=v", nil, []pair{p("", "v")}},
	{"an equals sign alone", "=", nil, []pair{p("", "")}},
	{"the example of the guide", "prop1&prop2=&prop3=a%20string",
		[]pair{null("prop1"), p("prop2", ""), p("prop3", "a%20string")},
		[]pair{null("prop1"), p("prop2", ""), p("prop3", "a string")}},
	{"ampersands alone", "&&&", nil, nil},
	{"ampersands around all", "&a=b&&c=d&", nil, []pair{p("a", "b"), p("c", "d")}},
	{"a second equals sign is of the value", "a=b=c==", nil, []pair{p("a", "b=c==")}},
	{"duplicates stay, in order", "a=1&b=2&a=3&a", nil, []pair{p("a", "1"), p("b", "2"), p("a", "3"), null("a")}},
	{"capital letters count", "a=1&A=2", nil, []pair{p("a", "1"), p("A", "2")}},
	{"a raw slash, from the C SDK", "k=a/b&%24.ct=application/json",
		[]pair{p("k", "a/b"), p("%24.ct", "application/json")}, []pair{p("k", "a/b"), p("$.ct", "application/json")}},
	{"a raw blank, from the C SDK", "k=c 1&my name=x", nil, []pair{p("k", "c 1"), p("my name", "x")}},
	{"a plus sign is one", "a+b=c+d&+=+", nil, []pair{p("a+b", "c+d"), p("+", "+")}},
	{"an escaped plus sign", "a%2Bb=%2b", []pair{p("a%2Bb", "%2b")}, []pair{p("a+b", "+")}},
	{"a raw dollar sign, from the Java SDK", "$.mid=1&$.sub=c", nil, []pair{p("$.mid", "1"), p("$.sub", "c")}},
	{"an escaped dollar sign", "%24.mid=1&%24.sub=c", []pair{p("%24.mid", "1"), p("%24.sub", "c")}, []pair{p("$.mid", "1"), p("$.sub", "c")}},
	{"all of a name escaped", "%24%2e%6d%69%64=%31", []pair{p("%24%2e%6d%69%64", "%31")}, []pair{p("$.mid", "1")}},
	{"escaped separators part nothing", "a%26b%3Dc=%26%3D%25", []pair{p("a%26b%3Dc", "%26%3D%25")}, []pair{p("a&b=c", "&=%")}},
	{"an escaped escape is decoded once", "a=%2525", []pair{p("a", "%2525")}, []pair{p("a", "%25")}},
	{"upper and lower case of hex", "a=%c3%A9%C3%a9", []pair{p("a", "%c3%A9%C3%a9")}, []pair{p("a", "éé")}},
	{"what the C SDK makes of é", "a=%c3%83%c2%a9", []pair{p("a", "%c3%83%c2%a9")}, []pair{p("a", "Ã©")}},
	{"no hex behind a percent sign", "a=%zz&b=%4&c=%&d=%%41&e=%4%41&f=%-1&%=%", []pair{
		p("a", "%zz"), p("b", "%4"), p("c", "%"), p("d", "%%41"), p("e", "%4%41"), p("f", "%-1"), p("%", "%"),
	}, []pair{p("a", "%zz"), p("b", "%4"), p("c", "%"), p("d", "%A"), p("e", "%4A"), p("f", "%-1"), p("%", "%")}},
	{"an escape that the end cuts", "a=xyz%4", nil, []pair{p("a", "xyz%4")}},
	{"an escape that an ampersand cuts", "a=%4&1=%2=&%2", nil, []pair{p("a", "%4"), p("1", "%2="), null("%2")}},
	{"escapes that are not UTF-8 all stay", "a=%41%ff&b=%C3&c=%C3x%41&d=%A9%41&e=x", []pair{
		p("a", "%41%ff"), p("b", "%C3"), p("c", "%C3x%41"), p("d", "%A9%41"), p("e", "x"),
	}, []pair{p("a", "%41%ff"), p("b", "%C3"), p("c", "%C3x%41"), p("d", "%A9%41"), p("e", "x")}},
	{"overlong escapes stay", "a=%C0%AF&b=%E0%80%AF&c=%41", nil, []pair{p("a", "%C0%AF"), p("b", "%E0%80%AF"), p("c", "A")}},
	{"escapes of surrogates stay", "a=%ED%A0%BD%ED%B8%80", nil, []pair{p("a", "%ED%A0%BD%ED%B8%80")}},
	{"escapes beyond the last character stay", "a=%F4%90%80%80", nil, []pair{p("a", "%F4%90%80%80")}},
	{"escapes of a character over two properties stay", "a=%C3&%A9=b", nil, []pair{p("a", "%C3"), p("%A9", "b")}},
	{"characters of two, three and four bytes", "%C3%A9=%E2%82%AC%F0%9F%98%80%C3%A9x", nil, []pair{p("é", "€😀éx")}},
	{"raw characters beyond ASCII", "é=€😀&😀%41=é%C3%A9é", nil, []pair{p("é", "€😀"), p("😀A", "ééé")}},
	{"escapes of NUL and of a line's end", "a=%00&b=%0D%0A", nil, []pair{p("a", "\x00"), p("b", "\r\n")}},
	{"every escape of ASCII", "a=" + everyEscape(), nil, []pair{p("a", everyASCII())}},
	{"long names and values", strings.Repeat("n", 100) + "=" + strings.Repeat("v%41", 100), nil,
		[]pair{p(strings.Repeat("n", 100), strings.Repeat("vA", 100))}},
}

func everyASCII() string {
	var b []byte
	for c := range byte(0x80) {
		b = append(b, c)
	}
	return string(b)
}

func everyEscape() string {
	const hex = "0123456789abcdef"
	var b []byte
	for c := range byte(0x80) {
		b = append(b, '%', hex[c>>4], hex[c&15])
	}
	return string(b)
}

func TestBags(t *testing.T) {
	for _, c := range bags {
		t.Run(c.name, func(t *testing.T) {
			b := topics.Bag(c.bag)
			sameDiff(t, "decoded into room", decoded(b), c.want)
			if c.raw != nil {
				sameDiff(t, "raw", raw(b), c.raw)
			}
			var one, all, lazy []pair
			for q := range b.Pairs() {
				name, value := string(q.AppendName(nil)), string(q.AppendValue(nil))
				if lazy = append(lazy, null(name)); !q.Null {
					lazy[len(lazy)-1].Value = &value
				}
			}
			sameDiff(t, "decoded one by one", lazy, c.want)
			for name, value := range b.All() {
				all = append(all, p(name, value))
			}
			for _, q := range b.AppendProperties([]hubwire.Property{{Name: "before"}})[1:] {
				one = append(one, p(q.Name, q.Value))
			}
			want := slices.Clone(c.want)
			for i := range want {
				if want[i].Value == nil {
					want[i].Value = text("")
				}
			}
			sameDiff(t, "All", all, want)
			sameDiff(t, "AppendProperties", one, want)
		})
	}
}

// The same pairs, at every place of a word: bags are read eight bytes at a time.
func TestBagsAtEveryOffset(t *testing.T) {
	for _, c := range bags {
		for n := range 17 {
			before, after := strings.Repeat("x", n)+"=y", strings.Repeat("z", n)
			b := topics.Bag(before + "&" + c.bag + "&" + after + "=")
			want := append([]pair{p(strings.Repeat("x", n), "y")}, c.want...)
			want = append(want, p(after, ""))
			if diff := cmp.Diff(want, decoded(b)); diff != "" {
				t.Fatalf("%s in %q (-want +got):\n%s", c.name, b, diff)
			}
		}
	}
}

func TestIterationCanStop(t *testing.T) {
	b := topics.Bag("a=1&b=2&c=3")
	for q := range b.Pairs() {
		if q.Is("b") {
			break
		}
	}
	for name := range b.All() {
		if name == "b" {
			break
		}
	}
	q, rest, ok := b.Next()
	if !ok || !q.Is("a") || string(rest) != "b=2&c=3" {
		t.Errorf("Next is %v, %q, %v", pairOf(q), rest, ok)
	}
	if _, rest, ok := topics.Bag("&&").Next(); ok || len(rest) > 0 {
		t.Errorf("a bag of nothing has something: %q", rest)
	}
}

// Next and Pairs give views; decoded pairs are in the caller's room, whole.
func TestWhoOwnsPairs(t *testing.T) {
	const text = "%24.mid=1&name=value&esc=%41bc"
	b := []byte(text)
	first, _, _ := topics.Bag(b).Next()
	room := append(make([]byte, 0, 100), "kept"...)
	pairs, room := topics.Bag(b).AppendDecoded([]topics.Pair{{Name: []byte("kept")}}, room)
	for i := range b {
		b[i] = '!'
	}
	if string(first.Name) != "!!!!!!!" || string(first.Value) != "!" {
		t.Errorf("Next copies: %q, %q", first.Name, first.Value)
	}
	var got []pair
	for _, q := range pairs {
		got = append(got, pairOf(q))
		if cap(q.Name) != len(q.Name) || cap(q.Value) != len(q.Value) {
			t.Errorf("%v can be appended to, over its neighbour", pairOf(q))
		}
	}
	sameDiff(t, "pairs", got, []pair{p("kept", ""), p("$.mid", "1"), p("name", "value"), p("esc", "Abc")})
	same(t, "room", string(room), "kept$.mid1namevalueescAbc")
	for i := range room {
		room[i] = '?'
	}
	if q := pairOf(pairs[3]); q.String() != "???=???" {
		t.Errorf("a decoded pair is not in room: %v", q)
	}
}

func TestAppendDecodedGrowsWhatItIsGiven(t *testing.T) {
	for _, c := range bags {
		for _, spare := range []int{0, 1, 7, 8, len(c.bag), len(c.bag) + 7, len(c.bag) + 8} {
			room := make([]byte, 3, 3+spare)
			pairs, after := topics.Bag(c.bag).AppendDecoded(nil, room)
			var got []pair
			for _, q := range pairs {
				got = append(got, pairOf(q))
			}
			if diff := cmp.Diff(c.want, got); diff != "" || len(after) < 3 {
				t.Fatalf("%s, with %d bytes of room (-want +got):\n%s", c.name, spare, diff)
			}
		}
	}
}

func TestFind(t *testing.T) {
	b := topics.Bag("keys=no&key&%6bey=second&x=key&c%20d=1")
	for name, want := range map[string]string{"key": "null", "keys": "no", "c d": "1", "k": "", "no": "", "KEY": "", "%6bey": "", "c%20d": ""} {
		q, ok := b.Find(name)
		got := string(q.Value)
		if q.Null {
			got = "null"
		}
		if got != want || ok != (want != "") {
			t.Errorf("%q is %q, %v, want %q", name, got, ok, want)
		}
	}
	long := strings.Repeat("é", 100)
	if _, ok := topics.Bag(string(topics.AppendProperty(nil, long, "v"))).Find(long); !ok {
		t.Error("a long name is not found")
	}
}

func TestAppendProperty(t *testing.T) {
	for _, c := range []struct{ name, before, want string }{
		{"to nothing", "", "a%20b=%C3%A9&n&%24.mid=x&c=d"},
		{"to a topic", "devices/d/messages/events/", "devices/d/messages/events/a%20b=%C3%A9&n&%24.mid=x&c=d"},
		{"to a question mark", "x?", "x?a%20b=%C3%A9&n&%24.mid=x&c=d"},
		{"to a bag", "x=y", "x=y&a%20b=%C3%A9&n&%24.mid=x&c=d"},
	} {
		b := topics.AppendProperty([]byte(c.before), "a b", []byte("é"))
		b = topics.AppendNull(b, "n")
		b = topics.AppendSystem(b, topics.MessageID, []byte("x"))
		b = topics.AppendProperty(b, []byte("c"), "d")
		same(t, c.name, string(b), c.want)
	}
	for _, s := range []topics.System{0, topics.Ack + 1, 255} {
		if b := topics.AppendSystem([]byte("x"), s, "v"); string(b) != "x" {
			t.Errorf("system property %d appends %q", s, b)
		}
	}
}

func TestSystemProperties(t *testing.T) {
	for s := topics.MessageID; s <= topics.Ack; s++ {
		name := s.Name()
		if name == "" || topics.LookupSystem(name) != s || topics.LookupSystem([]byte(name)) != s || s.String() != name {
			t.Errorf("system property %d is called %q, which is %d", s, name, topics.LookupSystem(name))
		}
		first := topics.AppendSystem(nil, s, "v")
		second := topics.AppendSystem([]byte("a=b"), s, "v")
		same(t, "behind another", string(second), "a=b&"+string(first))
		for _, b := range []topics.Bag{first, topics.Bag(name + "=v"), topics.Bag(strings.ReplaceAll(name, ".", "%2e") + "=v")} {
			q, _, _ := b.Next()
			if q.System() != s || !q.Is(name) || string(q.Value) != "v" {
				t.Errorf("%q is system property %d, want %d", b, q.System(), s)
			}
		}
	}
	for _, name := range []string{
		"", "$", "$.", "mid", ".mid", "$.MID", "$.mi", "$.midd", "%24.mid", "%24%24.mid", "$mid", "iothub-Ack", "$.iothub-ack", "ack",
		"%", "%24.", "%24.xyz", "%24.mi%64x", strings.Repeat("%24", 60),
	} {
		q := topics.Pair{Name: []byte(name)}
		if name != "%24.mid" && q.System() != 0 || topics.LookupSystem(name) != 0 {
			t.Errorf("%q is a system property: %v, %v", name, q.System(), topics.LookupSystem(name))
		}
	}
	if topics.System(0).Name() != "" || topics.System(99).String() != "" {
		t.Error("what is no system property has a name")
	}
}
