package topics

import (
	"encoding/binary"
	"math"
)

// No topic of IoT Hub is shorter than "$iothub/twin/GET?$rid=1".
const shortest = 23

// Parse reads the topic of a PUBLISH, from a device or to one, in any of the
// forms listed at [Kind]. The result is a view of topic.
//
// It is as lenient as the service and the SDKs are with each other:
//   - telemetry may begin with one '/', and may lack the one before its bag;
//   - a property bag may hold raw '/' (the C SDK escapes nothing by default): ids
//     are told by their place from the left, so a bag cannot change them;
//   - '+' is an ordinary character, unless it is all of an id or a name. MQTT
//     allows none in the topic of a PUBLISH; to see to that is the MQTT layer's task;
//   - a query may lack the '/' before it, and holds its parts in any order. But
//     that of a method request begins with $rid, and that of a twin response with
//     $rid or $version: nothing else could be read by the C SDK.
//
// The error is a [*SyntaxError]: ErrUnknown for a topic of another family, else
// what is wrong with it, which is one thing of several. A malformed escape is
// none: it stands for itself. Parse allocates nothing but an error that is unlike
// those of its sort that it has kept.
func Parse(topic []byte) (Topic, error) {
	if len(topic) < shortest || len(topic) > maxText {
		return Topic{}, refuseLength(topic)
	}
	// The end goes first. A fault there would else be found only after all the
	// work of accepting.
	if end := len(topic) - word; odd(load(topic, end)) != 0 {
		if err := checkRunes(topic, end); err != nil {
			return Topic{}, err
		}
	}
	switch {
	case string(topic[:16]) == "$iothub/methods/" && string(topic[16:21]) == "POST/":
		const name = len("$iothub/methods/POST/")
		end := plainTo(topic, name, '/'*lows)
		if end < name+2 || !hasPrefixAt(topic, end, "/?") {
			return parseMethodRequest(topic, name)
		}
		return parseRequestID(topic, MethodRequest, end, end)
	case string(topic[:16]) == "$iothub/twin/res" && topic[16] == '/':
		const status = len("$iothub/twin/res/")
		n, end := threeDigits(topic, status), topic[status+3]
		if n < 100 || end != '/' && end != '?' {
			return Topic{}, badStatus.at(status) // the Java SDK wants three digits, too
		}
		return parseRequestID(topic, TwinResponse, status+3, n)
	case string(topic[:8]) == "$iothub/":
		return parseHub(topic)
	case string(topic[:8]) == "devices/":
		return parseDevice(topic, len("devices/"))
	case string(topic[:5]) == "$dps/":
		return parseDPS(topic)
	case string(topic[:9]) == "/devices/":
		if t, err := parseDevice(topic, len("/devices/")); err != nil || t.Kind == Telemetry {
			return t, err
		}
	}
	return Topic{}, unknownTopic.at(0)
}

// refuseLength is the error for what is too short or too long to be a topic.
func refuseLength(b []byte) error {
	switch {
	case len(b) == 0:
		return emptyTopic.at(0)
	case len(b) > maxText:
		return longTopic.at(maxText)
	}
	for _, begin := range [...]string{
		"$iothub/methods/POST/", "$iothub/methods/res/", "$iothub/twin/res/", "$iothub/twin/GET/",
		"$iothub/twin/PATCH/properties/", "$dps/registrations/", "devices/", "/devices/",
	} {
		n := min(len(b), len(begin))
		if string(b[:n]) == begin[:n] {
			return shortTopic.at(len(b))
		}
	}
	return unknownTopic.at(0)
}

// parseHub reads what begins with "$iothub/", but for what Parse itself knows.
func parseHub(b []byte) (Topic, error) {
	const family, patch = len("$iothub/"), len("$iothub/twin/PAT")
	const reported, desired = "CH/properties/reported", "CH/properties/desired"
	switch rest := b[family : family+word]; {
	case string(rest) == "methods/" && hasPrefixAt(b, family+word, "res/"):
		return parseStatus(b, MethodResponse, len("$iothub/methods/res/"))
	case string(rest) == "twin/GET":
		return parseRequestID(b, TwinGet, family+word, family+word)
	case string(rest) != "twin/PAT":
	case hasPrefixAt(b, patch, reported):
		return parseRequestID(b, TwinReported, patch+len(reported), patch+len(reported))
	case hasPrefixAt(b, patch, desired):
		t, err := parseQuery(b, TwinDesired, patch+len(desired), patch+len(desired))
		if err == nil && len(t.VersionText()) == 0 {
			return Topic{}, noVersion.at(len(b))
		}
		return t, err
	}
	return Topic{}, unknownTopic.at(family)
}

// parseDPS reads what begins with "$dps/".
func parseDPS(b []byte) (Topic, error) {
	const family = len("$dps/")
	const register, query = "registrations/PUT/iotdps-register", "registrations/GET/iotdps-get-operationstatus"
	switch {
	case hasPrefixAt(b, family, "registrations/res/"):
		return parseStatus(b, DPSResponse, len("$dps/registrations/res/"))
	case hasPrefixAt(b, family, register):
		return parseRequestID(b, DPSRegister, family+len(register), family+len(register))
	case hasPrefixAt(b, family, query):
		t, err := parseRequestID(b, DPSQuery, family+len(query), family+len(query))
		if err == nil && len(t.OperationID()) == 0 {
			return Topic{}, noOperationID.at(len(b))
		}
		return t, err
	}
	return Topic{}, unknownTopic.at(family)
}

// parseMethodRequest reads "{method}[/]?..." at i, in the forms that are not Parse's.
func parseMethodRequest(b []byte, i int) (Topic, error) {
	if err := checkText(b, i); err != nil {
		return Topic{}, err
	}
	end := index(b, i, '/')
	if !hasPrefixAt(b, end, "/?") {
		// The query has no slash before it, and may have one in it.
		slash := end
		if end = index(b[:slash], i, '?'); end == slash {
			if slash == len(b) {
				return Topic{}, endlessMethod.at(slash)
			}
			return Topic{}, segmentedMethod.at(slash)
		}
	}
	switch {
	case end == i:
		return Topic{}, emptyMethod.at(i)
	case end == i+1 && b[i] == '+':
		return Topic{}, wildcardMethod.at(i)
	}
	return parseRequestID(b, MethodRequest, end, end)
}

// parseStatus reads "{status}[/]?..." at i.
func parseStatus(b []byte, k Kind, i int) (Topic, error) {
	n, end := status(b, i)
	if end == len(b) {
		return Topic{}, endlessStatus.at(end)
	}
	if n != int64(int32(n)) || b[end] != '/' && b[end] != '?' {
		return Topic{}, badStatus.at(i)
	}
	if n < 0 || n > otherStatus {
		n = otherStatus
	}
	return parseRequestID(b, k, end, int(n))
}

// status reads a decimal number at i and returns where it ends. No number is
// one that is out of range.
func status(b []byte, i int) (n int64, end int) {
	start := i
	if i < len(b) && b[i] == '-' {
		i++
	}
	digits := i
	for ; i < len(b) && b[i]-'0' < 10 && i < digits+10; i++ {
		n = n*10 + int64(b[i]-'0')
	}
	if i == digits {
		return math.MaxInt64, i
	}
	if digits > start {
		n = -n
	}
	return n, i
}

// threeDigits reads the number of three digits that all statuses of HTTP are, or returns -1.
func threeDigits(b []byte, i int) int {
	x, y, z := b[i]-'0', b[i+1]-'0', b[i+2]-'0'
	if x > 9 || y > 9 || z > 9 {
		return -1
	}
	return int(x)*100 + int(y)*10 + int(z)
}

// How a query begins.
var (
	withRequestID = binary.LittleEndian.Uint64([]byte("\x00/?$rid="))
	withVersion   = binary.LittleEndian.Uint64([]byte("/?$versi"))
)

// parseRequestID reads "/?$rid={rid}[&...]" at i, which is what nearly all
// topics have, and leaves the others to parseQuery. a goes into the Topic. Up to
// i all is well with the text.
func parseRequestID(b []byte, k Kind, i, a int) (Topic, error) {
	if i > len(b)-word {
		if hasPrefixAt(b, i, "/?") && k != TwinReported {
			return Topic{}, noRequestID.at(i + len("/?")) // there is no room for it
		}
		return parseQuery(b, k, i, a)
	}
	if w := load(b, i); w<<8 != withRequestID {
		if w<<48 == withRequestID<<40 && w != withVersion && (k == MethodRequest || k == TwinResponse) {
			if e := noRequestID.keptAt(i + len("/?")); e != nil {
				return Topic{}, e
			}
			return Topic{}, noRequestID.errorAt(i + len("/?"))
		}
		return parseQuery(b, k, i, a)
	}
	rid := i + len("/?$rid=")
	end := plainTo(b, rid, '&'*lows)
	if rest := len(b) - end; rest < word {
		// It is in the last word, moved down: there all is well with the text.
		w := load(b, len(b)-word) >> (8 * (word - rest) & 63)
		end = min(len(b), end+first(zeros(w^'&'*lows)))
	} else if b[end] != '&' || !plain(b, end) {
		return parseQuery(b, k, i, a)
	}
	if rid == end && k != TwinReported { // which asks for no answer then
		return Topic{}, noRequestID.at(i + len("/?"))
	}
	return Topic{b, k, marks{uint16(a), uint16(rid), uint16(end)}}, nil
}

// parseQuery reads "[/]?{part}&{part}..." at i.
func parseQuery(b []byte, k Kind, i, a int) (Topic, error) {
	q := i
	if hasPrefixAt(b, q, "/") {
		q++
	}
	if q == len(b) && k == TwinReported {
		return Topic{b, k, marks{uint16(a), uint16(q), uint16(q)}}, nil // it asks for no answer
	}
	if !hasPrefixAt(b, q, "?") {
		return Topic{}, noQuery.at(q)
	}
	if err := checkText(b, i); err != nil {
		return Topic{}, err
	}
	q++
	rid, end := param(b, q, "$rid=")
	switch {
	case rid == end && k != TwinReported && k != TwinDesired,
		k == MethodRequest && !hasPrefixAt(b, q, "$rid="),
		k == TwinResponse && !hasPrefixAt(b, q, "$rid=") && !hasPrefixAt(b, q, "$version="):
		return Topic{}, noRequestID.at(q)
	}
	return Topic{b, k, marks{uint16(a), uint16(rid), uint16(end)}}, nil
}

// param returns where the value of the first part of that name is, in a query
// that begins at i. The name has its '='.
func param(b []byte, i int, name string) (lo, hi int) {
	for i < len(b) {
		end := index(b, i, '&')
		if hasPrefixAt(b[:end], i, name) {
			return i + len(name), end
		}
		i = end + 1
	}
	return 0, 0
}

// parseDevice reads what has an identity, whose device id begins at i. The text
// is looked at first, so that a fault late in a long bag is not found after all
// the work of accepting.
func parseDevice(b []byte, i int) (Topic, error) {
	if err := checkText(b, word); err != nil {
		return Topic{}, err
	}
	device := levelEnd(b, i)
	if device-i < 2 && (device == i || b[i] == '+') {
		return Topic{}, badLevel(b, i, emptyDevice, wildcardDevice)
	}
	module := device
	if hasPrefixAt(b, device, "/modules") && hasPrefixAt(b, device+8, "/") {
		i = device + len("/modules/")
		module = levelEnd(b, i)
		if module-i < 2 && (module == i || b[i] == '+') {
			return Topic{}, badLevel(b, i, emptyModule, wildcardModule)
		}
	}
	// No string that is compared has more than a word: it would take a call.
	var k Kind
	var bag int
	if rest := b[module:]; len(rest) >= 2*word && string(rest[:word]) == "/message" {
		switch string(rest[word : 2*word]) {
		case "s/events":
			k, bag = Telemetry, module+len("/messages/events")
		case "s/device":
			if hasPrefixAt(rest, 2*word, "bound") {
				k, bag = C2D, module+len("/messages/devicebound")
			}
		}
	} else if module > device && hasPrefixAt(rest, 0, "/inputs/") {
		i = module + len("/inputs/")
		k, bag = Input, levelEnd(b, i)
		if bag-i < 2 && (bag == i || b[i] == '+') {
			return Topic{}, badLevel(b, i, emptyInput, wildcardInput)
		}
		if bag == len(b) {
			return Topic{}, endlessInput.at(bag) // the '/' is always there
		}
	}
	if k == 0 {
		if e := unknownTopic.keptAt(module); e != nil {
			return Topic{}, e
		}
		return Topic{}, unknownTopic.errorAt(module)
	}
	if bag < len(b) {
		if b[bag] != '/' {
			return Topic{}, unknownTopic.at(module)
		}
		bag++
	}
	if k == Telemetry {
		b, bag = trimBag(b, bag)
	}
	return Topic{b, k, marks{uint16(device), uint16(module), uint16(bag)}}, nil
}

// levelEnd returns where the level that begins at i ends: at the next '/' or the end of b.
func levelEnd(b []byte, i int) int {
	if i = plainTo(b, i, '/'*lows); i < len(b) && b[i] == '/' {
		return i
	}
	return index(b, i, '/')
}

// badLevel is the error for an id or a name at i that is empty or a wildcard.
func badLevel(b []byte, i int, empty, wildcard *fault) error {
	if i < len(b) && b[i] == '+' {
		return wildcard.at(i)
	}
	return empty.at(i)
}

// trimBag takes off what some devices put around their bag: a '?' before it, as
// in some documents, and slashes behind it, as .NET and Java do.
func trimBag(b []byte, bag int) ([]byte, int) {
	if bag < len(b) && b[bag] == '?' {
		bag++
	}
	for len(b) > bag && b[len(b)-1] == '/' {
		b = b[:len(b)-1]
	}
	return b, bag
}
