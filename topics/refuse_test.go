package topics_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/topics"
)

// checkSyntaxError fails t unless err is a whole SyntaxError about input.
func checkSyntaxError(t *testing.T, input string, err error) {
	t.Helper()
	var se *topics.SyntaxError
	if !errors.As(err, &se) {
		t.Fatalf("%q: the error is %v, want a SyntaxError", input, err)
	}
	if se.Part == "" || se.Err == nil || se.Offset < 0 || se.Offset > len(input) {
		t.Fatalf("%q: the error does not say what and where: %#v", input, se)
	}
	if !errors.Is(err, se.Err) || !strings.HasPrefix(err.Error(), "topics: "+se.Part+" at offset ") {
		t.Fatalf("%q: the error reads %q", input, err)
	}
}

const (
	tooMuch = "devices/d/messages/events/"
	atEnd   = "devices/d/messages/events/a=b&c=d&e=f&g=h&i=j&k=l&m=n&o=p&q=r"
)

// malformed topics, each with the error it must get, whole.
var malformed = []struct {
	name, topic string
	want        topics.SyntaxError
}{
	{"nothing", "", topics.SyntaxError{"topic", 0, 0, topics.ErrEmpty}},
	{"65,536 bytes", tooMuch + strings.Repeat("x", 65536-len(tooMuch)), topics.SyntaxError{"topic", 65535, 65535, topics.ErrTooLong}},
	{"a megabyte", strings.Repeat("x", 1<<20), topics.SyntaxError{"topic", 65535, 65535, topics.ErrTooLong}},
	{"another topic", "a/b", topics.SyntaxError{"topic", 0, 0, topics.ErrUnknown}},
	{"a long other topic", "zigbee2mqtt/bridge/devices/messages/events/", topics.SyntaxError{"topic", 0, 0, topics.ErrUnknown}},
	{"the topic of MQTT 5", "$iothub/telemetry/and/what/follows", topics.SyntaxError{"topic", 8, 0, topics.ErrUnknown}},
	{"capital letters", "Devices/d/messages/events/", topics.SyntaxError{"topic", 0, 0, topics.ErrUnknown}},
	{"two slashes before telemetry", "//devices/d/messages/events/", topics.SyntaxError{"topic", 0, 0, topics.ErrUnknown}},
	{"a slash before C2D", "/devices/d/messages/devicebound/", topics.SyntaxError{"topic", 0, 0, topics.ErrUnknown}},
	{"a slash before a method request", "/$iothub/methods/POST/m/?$rid=1", topics.SyntaxError{"topic", 0, 0, topics.ErrUnknown}},

	{"'#' alone", "#", topics.SyntaxError{"topic", 0, 0, topics.ErrUnknown}},
	{"'#' for a bag", "devices/d/messages/events/#", topics.SyntaxError{"topic", 26, 0, topics.ErrWildcard}},
	{"'#' in a bag", "devices/d/messages/events/a=#b&c=d&e=f&g=h&i=j&k=l", topics.SyntaxError{"topic", 28, 0, topics.ErrWildcard}},
	{"'#' at the end of a bag", atEnd + "#", topics.SyntaxError{"topic", len(atEnd), 0, topics.ErrWildcard}},
	{"'#' in a device id", "devices/a#b/messages/events/", topics.SyntaxError{"topic", 9, 0, topics.ErrWildcard}},
	{"'#' in a method name", "$iothub/methods/POST/re#boot/?$rid=12345678", topics.SyntaxError{"topic", 23, 0, topics.ErrWildcard}},
	{"'#' in a request id", "$iothub/methods/POST/reboot/?$rid=1#345678901234567890", topics.SyntaxError{"topic", 35, 0, topics.ErrWildcard}},
	{"'#' behind a request id", "$iothub/twin/res/200/?$rid=1&x=#1234567890", topics.SyntaxError{"topic", 31, 0, topics.ErrWildcard}},
	{"'+' for a device id", "devices/+/messages/events/", topics.SyntaxError{"device id", 8, 0, topics.ErrWildcard}},
	{"'+' for a device id with a slash before all", "/devices/+/messages/events/", topics.SyntaxError{"device id", 9, 0, topics.ErrWildcard}},
	{"'+' for a module id", "devices/d/modules/+/messages/events/", topics.SyntaxError{"module id", 18, 0, topics.ErrWildcard}},
	{"'+' for an input", "devices/d/modules/m/inputs/+/", topics.SyntaxError{"input name", 27, 0, topics.ErrWildcard}},
	{"'+' for a method", "$iothub/methods/POST/+/?$rid=1", topics.SyntaxError{"method name", 21, 0, topics.ErrWildcard}},
	{"'+' for a status", "$iothub/methods/res/+/?$rid=1", topics.SyntaxError{"status", 20, math.MaxInt32, topics.ErrNumber}},

	{"NUL in a device id", "devices/a\x00b/messages/events/", topics.SyntaxError{"topic", 9, 0, topics.ErrNUL}},
	{"NUL in a bag", "devices/d/messages/events/a=\x00&c=d&e=f&g=h&i=j&k=l", topics.SyntaxError{"topic", 28, 0, topics.ErrNUL}},
	{"NUL at the end", atEnd + "\x00", topics.SyntaxError{"topic", len(atEnd), 0, topics.ErrNUL}},
	{"NUL in a request id", "$iothub/twin/GET/?$rid=\x00", topics.SyntaxError{"topic", 23, 0, topics.ErrNUL}},
	{"a byte that UTF-8 has not", "devices/d/messages/events/a=\xff&c=d&e=f&g=h&i=j&k=l", topics.SyntaxError{"topic", 28, 0, topics.ErrUTF8}},
	{"a byte that UTF-8 has not, at the end", atEnd + "\xff", topics.SyntaxError{"topic", len(atEnd), 0, topics.ErrUTF8}},
	{"a stray second byte", "devices/\x80/messages/events/", topics.SyntaxError{"topic", 8, 0, topics.ErrUTF8}},
	{"a stray second byte behind a character", "devices/d/messages/events/é\xa9&c=d&e=f&g=h&i=j", topics.SyntaxError{"topic", 28, 0, topics.ErrUTF8}},
	{"an overlong slash", "devices/d/messages/events/\xc0\xaf&c=d&e=f&g=h&i=j", topics.SyntaxError{"topic", 26, 0, topics.ErrUTF8}},
	{"an overlong NUL", "devices/d/messages/events/\xe0\x80\x80&c=d&e=f&g=h&i=j", topics.SyntaxError{"topic", 26, 0, topics.ErrUTF8}},
	{"half of a surrogate pair", "devices/d/messages/events/\xed\xa0\x80&c=d&e=f&g=h", topics.SyntaxError{"topic", 26, 0, topics.ErrUTF8}},
	{"a character beyond the last", "devices/d/messages/events/\xf4\x90\x80\x80&c=d&e=f&g", topics.SyntaxError{"topic", 26, 0, topics.ErrUTF8}},
	{"half a character at the end", atEnd + "\xe2\x82", topics.SyntaxError{"topic", len(atEnd), 0, topics.ErrUTF8}},
	{"a method name that is not UTF-8", "$iothub/methods/POST/\xc3/?$rid=12345678", topics.SyntaxError{"topic", 21, 0, topics.ErrUTF8}},

	{"no device id", "devices//messages/events/", topics.SyntaxError{"device id", 8, 0, topics.ErrEmpty}},
	{"no module id", "devices/d/modules//messages/events/", topics.SyntaxError{"module id", 18, 0, topics.ErrEmpty}},
	{"nothing behind a module", "devices/device/modules/module", topics.SyntaxError{"topic", 29, 0, topics.ErrUnknown}},
	{"nothing behind a device", "devices/" + strings.Repeat("x", 30), topics.SyntaxError{"topic", 38, 0, topics.ErrUnknown}},
	{"a word that goes on", "devices/d/messages/eventsandmore", topics.SyntaxError{"topic", 9, 0, topics.ErrUnknown}},
	{"a slash in a device id", "devices/d/e/messages/events/", topics.SyntaxError{"topic", 9, 0, topics.ErrUnknown}},
	{"a device with an input", "devices/d1/inputs/in/aaaaaaaaaaaaaaaaa", topics.SyntaxError{"topic", 10, 0, topics.ErrUnknown}},
	{"an input without a name", "devices/d/modules/m/inputs//", topics.SyntaxError{"input name", 27, 0, topics.ErrEmpty}},
	{"an input that ends with its name", "devices/d/modules/m/inputs/in", topics.SyntaxError{"input name", 29, 0, topics.ErrTruncated}},
	{"the outputs of a module", "devices/d/modules/m/outputs/out/", topics.SyntaxError{"topic", 19, 0, topics.ErrUnknown}},

	{"a method without a name", "$iothub/methods/POST//?$rid=1", topics.SyntaxError{"method name", 21, 0, topics.ErrEmpty}},
	{"a method with a slash in its name", "$iothub/methods/POST/a/b/?$rid=1", topics.SyntaxError{"method name", 22, 0, topics.ErrSegment}},
	{"a method that ends with its name", "$iothub/methods/POST/reboot", topics.SyntaxError{"method name", 27, 0, topics.ErrTruncated}},
	{"a method that ends with its name of eight letters", "$iothub/methods/POST/reboot12", topics.SyntaxError{"method name", 29, 0, topics.ErrTruncated}},
	{"a method that ends with a slash", "$iothub/methods/POST/reboot/", topics.SyntaxError{"method name", 27, 0, topics.ErrSegment}},
	{"a method without $rid", "$iothub/methods/POST/reboot/?$rib=1a2", topics.SyntaxError{"$rid", 29, 0, topics.ErrMissing}},
	{"a method whose $rid is not first", "$iothub/methods/POST/reboot/?a=b&$rid=1", topics.SyntaxError{"$rid", 29, 0, topics.ErrMissing}},
	{"a method without a slash whose $rid is not first", "$iothub/methods/POST/reboot?a=b&$rid=1", topics.SyntaxError{"$rid", 28, 0, topics.ErrMissing}},
	{"a twin response whose first part nobody knows", "$iothub/twin/res/200/?a=b&$rid=1", topics.SyntaxError{"$rid", 22, 0, topics.ErrMissing}},
	{"a twin response without a slash whose first part nobody knows", "$iothub/twin/res/200?a=b&$rid=1", topics.SyntaxError{"$rid", 21, 0, topics.ErrMissing}},
	{"a method with an empty $rid", "$iothub/methods/POST/reboot/?$rid=&x=y", topics.SyntaxError{"$rid", 29, 0, topics.ErrMissing}},
	{"a method with an empty query", "$iothub/methods/POST/reboot/?", topics.SyntaxError{"$rid", 29, 0, topics.ErrMissing}},
	{"another verb", "$iothub/methods/PAST/reboot/?$rid=1a2", topics.SyntaxError{"topic", 8, 0, topics.ErrUnknown}},

	{"a method response without a number", "$iothub/methods/res/ok/?$rid=1", topics.SyntaxError{"status", 20, math.MaxInt32, topics.ErrNumber}},
	{"a method response with a minus sign alone", "$iothub/methods/res/-/?$rid=1", topics.SyntaxError{"status", 20, math.MaxInt32, topics.ErrNumber}},
	{"a method response with a plus sign", "$iothub/methods/res/+200/?$rid=1", topics.SyntaxError{"status", 20, math.MaxInt32, topics.ErrNumber}},
	{"a method response beyond 32 bits", "$iothub/methods/res/2147483648/?$rid=1", topics.SyntaxError{"status", 20, math.MaxInt32, topics.ErrNumber}},
	{"a method response beyond 64 bits", "$iothub/methods/res/99999999999999999999/?$rid=1", topics.SyntaxError{"status", 20, math.MaxInt32, topics.ErrNumber}},
	{"a method response with half a number", "$iothub/methods/res/2x0/?$rid=1", topics.SyntaxError{"status", 20, math.MaxInt32, topics.ErrNumber}},
	{"a method response that ends with its status", "$iothub/methods/res/200", topics.SyntaxError{"status", 23, 0, topics.ErrTruncated}},
	{"a method response without a query", "$iothub/methods/res/200/", topics.SyntaxError{"query", 24, 0, topics.ErrMissing}},
	{"a method response without $rid", "$iothub/methods/res/200/?x=y&z", topics.SyntaxError{"$rid", 25, 0, topics.ErrMissing}},

	{"a twin response without a number", "$iothub/twin/res/20x/?$rid=2f&$version=17", topics.SyntaxError{"status", 17, math.MaxInt32, topics.ErrNumber}},
	{"a twin response with four digits", "$iothub/twin/res/2000/?$rid=2f", topics.SyntaxError{"status", 17, math.MaxInt32, topics.ErrNumber}},
	{"a twin response with two digits", "$iothub/twin/res/20/?$rid=2f", topics.SyntaxError{"status", 17, math.MaxInt32, topics.ErrNumber}},
	{"a twin response with a status below 100", "$iothub/twin/res/099/?$rid=2f", topics.SyntaxError{"status", 17, math.MaxInt32, topics.ErrNumber}},
	{"a twin response that ends with its status", "$iothub/twin/res/200", topics.SyntaxError{"topic", 20, 0, topics.ErrTruncated}},
	{"a twin response without $rid", "$iothub/twin/res/200/?$rib=2f&$version=17", topics.SyntaxError{"$rid", 22, 0, topics.ErrMissing}},
	{"a twin response with a version only", "$iothub/twin/res/200/?$version=17", topics.SyntaxError{"$rid", 22, 0, topics.ErrMissing}},
	{"a twin request without $rid", "$iothub/twin/GET/?$rib=6f2c8", topics.SyntaxError{"$rid", 18, 0, topics.ErrMissing}},
	{"a twin request with an empty $rid", "$iothub/twin/GET/?$rid=&a=b", topics.SyntaxError{"$rid", 18, 0, topics.ErrMissing}},
	{"a twin request without a query", "$iothub/twin/GET/something", topics.SyntaxError{"query", 17, 0, topics.ErrMissing}},
	{"a twin request for a part of it", "$iothub/twin/GET/something/?$rid=1", topics.SyntaxError{"query", 17, 0, topics.ErrMissing}},
	{"a reported patch of a part", "$iothub/twin/PATCH/properties/reported/x/?$rid=1", topics.SyntaxError{"query", 39, 0, topics.ErrMissing}},
	{"a desired patch without a version", "$iothub/twin/PATCH/properties/desired/?x=y", topics.SyntaxError{"$version", 42, 0, topics.ErrMissing}},
	{"a patch of tags", "$iothub/twin/PATCH/tags/?$rid=1", topics.SyntaxError{"topic", 8, 0, topics.ErrUnknown}},
	{"a twin that is posted", "$iothub/twin/POST/?$rid=1&x=y", topics.SyntaxError{"topic", 8, 0, topics.ErrUnknown}},

	{"a registration without $rid", "$dps/registrations/PUT/iotdps-register/?x=y", topics.SyntaxError{"$rid", 40, 0, topics.ErrMissing}},
	{"a question without an operation", "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=1", topics.SyntaxError{"operationId", 57, 0, topics.ErrMissing}},
	{"an answer of DPS without a number", "$dps/registrations/res/ok/?$rid=1", topics.SyntaxError{"status", 23, math.MaxInt32, topics.ErrNumber}},
	{"something else of DPS", "$dps/registrations/DELETE/iotdps-register/", topics.SyntaxError{"topic", 5, 0, topics.ErrUnknown}},
}

func TestParseRefuses(t *testing.T) {
	for _, m := range malformed {
		t.Run(m.name, func(t *testing.T) {
			parsed, err := topics.Parse([]byte(m.topic))
			checkSyntaxError(t, m.topic, err)
			var se *topics.SyntaxError
			errors.As(err, &se)
			if diff := cmp.Diff(m.want, *se, cmp.Comparer(func(a, b error) bool { return a == b })); diff != "" {
				t.Errorf("%.100q (-want +got):\n%s", m.topic, diff)
			}
			if diff := cmp.Diff(reading{}, readingOf(parsed)); diff != "" {
				t.Errorf("%.100q gave something beside the error:\n%s", m.topic, diff)
			}
		})
	}
}

func TestErrorsReadWell(t *testing.T) {
	for topic, want := range map[string]string{
		"a/b":                              "topics: topic at offset 0 is not one that IoT Hub or DPS uses",
		"devices//messages/events/":        "topics: device id at offset 8 is empty",
		"devices/d/messages/events/#":      "topics: topic at offset 26 has a wildcard",
		"$iothub/methods/res/ok/?$rid=123": "topics: status at offset 20 is not a decimal number in range, the limit is 2147483647",
	} {
		if _, err := topics.Parse([]byte(topic)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", topic, err, want)
		}
	}
}

// A topic that is cut off is a topic still, or gets one error.
func TestEveryPrefix(t *testing.T) {
	for _, v := range valid {
		for n := range len(v.topic) {
			cut := []byte(v.topic[:n])
			parsed, err := topics.Parse(cut)
			if err != nil {
				checkSyntaxError(t, v.topic[:n], err)
			} else if got := readingOf(parsed); got.Kind != v.want.Kind {
				t.Errorf("%q became a %v", v.topic[:n], got.Kind)
			}
		}
	}
}

// Whatever is done to a topic, it is refused with a whole error or gives parts
// that lie in it.
func TestGarbage(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const odd = "/?&=%+#$\x00\x80\xc3\xe2\xff019azAZ. "
	for range 20000 {
		b := []byte(valid[rng.IntN(len(valid))].topic)
		for range 1 + rng.IntN(4) {
			at := rng.IntN(len(b))
			switch rng.IntN(4) {
			case 0:
				b[at] = odd[rng.IntN(len(odd))]
			case 1:
				b = append(b[:at], b[at+1:]...)
			case 2:
				b = append(b[:at:at], append([]byte{odd[rng.IntN(len(odd))]}, b[at:]...)...)
			default:
				b = append(b, b[at:]...)
			}
			if len(b) == 0 {
				break
			}
		}
		parsed, err := topics.Parse(b)
		if err != nil {
			checkSyntaxError(t, string(b), err)
			continue
		}
		readingOf(parsed)
		pairs, _ := parsed.Bag().AppendDecoded(nil, nil)
		n := 0
		for range parsed.Bag().Pairs() {
			n++
		}
		if n != len(pairs) {
			t.Fatalf("%q: %d pairs, or %d", b, n, len(pairs))
		}
	}
}

// The same mistake again gets the same error again, which costs nothing.
func TestRefusingDoesNotAllocate(t *testing.T) {
	for _, m := range malformed {
		topic := []byte(m.topic)
		testkit.NoAllocs(t, "refuse "+m.name, func() {
			if _, err := topics.Parse(topic); err == nil {
				t.Fatal("taken")
			}
		})
	}
}
