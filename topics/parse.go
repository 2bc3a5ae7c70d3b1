package topics

import (
	"bytes"
	"math"
)

// Parse reads the topic of a PUBLISH, from a device or to one, in any of the
// forms listed at [Kind]. The result is a view of topic. It does not allocate,
// except for the first error of its sort.
//
// It is as lenient as the service and the SDKs are with each other:
//   - telemetry may begin with one '/', and may lack the one before its bag;
//   - a property bag may hold raw '/' (the C SDK escapes nothing by default): ids
//     are told by their place from the left, so a bag cannot change them;
//   - '+' is an ordinary character, unless it is all of an id or name;
//   - the '/' before a query may be missing, and its parts come in any order.
//
// The error is a [*SyntaxError]: ErrUnknown for a topic of another family, else
// what is wrong with it. A malformed escape is none: it stands for itself.
func Parse(topic []byte) (Topic, error) {
	t := Topic{raw: topic}
	err := t.parse()
	if err != nil {
		return Topic{}, err
	}
	return t, nil
}

func (t *Topic) parse() error {
	b := t.raw
	if len(b) == 0 {
		return refuse(faultEmptyTopic, 0)
	}
	if err := checkText(b, true); err != nil {
		return err
	}
	if len(b) > 8 {
		switch string(b[:8]) {
		case "devices/":
			return t.parseDevice(8)
		case "$iothub/":
			return t.parseHub()
		case "$dps/reg":
			return t.parseDPS()
		case "/devices":
			if b[8] != '/' {
				break
			}
			if err := t.parseDevice(9); err != nil || t.Kind == Telemetry {
				return err
			}
		}
	}
	return refuse(faultUnknown, 0)
}

// parseDevice reads a topic with an identity, whose device id begins at i.
func (t *Topic) parseDevice(i int) error {
	var err error
	if t.device, i, err = t.level(i, faultDevice, faultDeviceWildcard); err != nil {
		return err
	}
	if bytes.HasPrefix(t.raw[i:], []byte("/modules/")) {
		i += len("/modules/")
		if t.module, i, err = t.level(i, faultModule, faultModuleWildcard); err != nil {
			return err
		}
		if bytes.HasPrefix(t.raw[i:], []byte("/inputs/")) {
			return t.parseInput(i + len("/inputs/"))
		}
	}
	rest := t.raw[i:]
	switch {
	case bytes.HasPrefix(rest, []byte("/messages/events")):
		t.Kind = Telemetry
		i += len("/messages/events")
	case bytes.HasPrefix(rest, []byte("/messages/devicebound")):
		t.Kind = C2D
		i += len("/messages/devicebound")
	default:
		return refuse(faultUnknown, i)
	}
	if i < len(t.raw) {
		if t.raw[i] != '/' {
			return refuse(faultUnknown, i)
		}
		i++
	}
	t.bag = t.span(i, len(t.raw))
	if t.Kind == Telemetry {
		t.trimBag()
	}
	return nil
}

// trimBag takes off what some devices put around their bag.
func (t *Topic) trimBag() {
	if t.bag.lo < t.bag.hi && t.raw[t.bag.lo] == '?' {
		t.bag.lo++
	}
	for t.bag.lo < t.bag.hi && t.raw[t.bag.hi-1] == '/' {
		t.bag.hi--
	}
}

// parseInput reads what follows "inputs/".
func (t *Topic) parseInput(i int) error {
	var err error
	if t.name, i, err = t.level(i, faultInput, faultInputWildcard); err != nil {
		return err
	}
	if i == len(t.raw) {
		return refuse(faultInputEnd, i) // the '/' is always there
	}
	t.Kind = Input
	t.bag = t.span(i+1, len(t.raw))
	return nil
}

// level takes an id or a name: all up to the next '/', at which it returns.
func (t *Topic) level(i int, empty, wildcard fault) (span, int, error) {
	n := bytes.IndexByte(t.raw[i:], '/')
	if n < 0 {
		n = len(t.raw) - i
	}
	if n == 0 {
		return span{}, i, refuse(empty, i)
	}
	if n == 1 && t.raw[i] == '+' {
		return span{}, i, refuse(wildcard, i)
	}
	return t.span(i, i+n), i + n, nil
}

func (t *Topic) span(lo, hi int) span { return span{uint16(lo), uint16(hi)} }

// parseHub reads what follows "$iothub/".
func (t *Topic) parseHub() error {
	const methods, twin = len("$iothub/methods/"), len("$iothub/twin/")
	b := t.raw
	if len(b) < methods {
		return refuse(faultUnknown, len("$iothub/"))
	}
	switch string(b[8:16]) {
	case "methods/":
		switch {
		case hasPrefixAt(b, methods, "POST/"):
			t.Kind = MethodRequest
			return t.parseMethod(methods + len("POST/"))
		case hasPrefixAt(b, methods, "res/"):
			t.Kind = MethodResponse
			return t.parseStatus(methods + len("res/"))
		}
	case "twin/res":
		if hasPrefixAt(b, twin, "res/") {
			t.Kind = TwinResponse
			return t.parseStatus(twin + len("res/"))
		}
	case "twin/GET":
		t.Kind = TwinGet
		return t.parseQuery(twin+len("GET"), needRequestID)
	case "twin/PAT":
		switch {
		case hasPrefixAt(b, twin, "PATCH/properties/reported"):
			t.Kind = TwinReported
			return t.parseQuery(twin+len("PATCH/properties/reported"), 0)
		case hasPrefixAt(b, twin, "PATCH/properties/desired"):
			t.Kind = TwinDesired
			return t.parseQuery(twin+len("PATCH/properties/desired"), needExtra)
		}
	}
	return refuse(faultUnknown, len("$iothub/"))
}

// parseDPS reads what follows "$dps/reg".
func (t *Topic) parseDPS() error {
	const base = len("$dps/registrations/")
	b := t.raw
	if hasPrefixAt(b, len("$dps/reg"), "istrations/") {
		switch {
		case hasPrefixAt(b, base, "res/"):
			t.Kind = DPSResponse
			return t.parseStatus(base + len("res/"))
		case hasPrefixAt(b, base, "PUT/iotdps-register"):
			t.Kind = DPSRegister
			return t.parseQuery(base+len("PUT/iotdps-register"), needRequestID)
		case hasPrefixAt(b, base, "GET/iotdps-get-operationstatus"):
			t.Kind = DPSQuery
			return t.parseQuery(base+len("GET/iotdps-get-operationstatus"), needRequestID|needExtra)
		}
	}
	return refuse(faultUnknown, len("$dps/"))
}

// hasPrefixAt reports whether b has p at offset i, which may be past the end.
func hasPrefixAt(b []byte, i int, p string) bool {
	return len(b) >= i+len(p) && string(b[i:i+len(p)]) == p
}

// parseMethod reads "{method}[/]?...".
func (t *Topic) parseMethod(i int) error {
	end := bytes.IndexByte(t.raw[i:], '/')
	if end < 0 {
		end = bytes.IndexByte(t.raw[i:], '?')
		if end < 0 {
			return refuse(faultMethodEnd, len(t.raw))
		}
	}
	end += i
	if t.raw[end] == '/' && (end+1 == len(t.raw) || t.raw[end+1] != '?') {
		// A slash in the name, or in a query that lacks its own.
		q := bytes.IndexByte(t.raw[i:end], '?')
		if q < 0 {
			return refuse(faultMethodSegment, end)
		}
		end = i + q
	}
	if end == i {
		return refuse(faultMethod, i)
	}
	if end == i+1 && t.raw[i] == '+' {
		return refuse(faultWildcard, i)
	}
	t.name = t.span(i, end)
	return t.parseQuery(end, needRequestID)
}

// parseStatus reads "{status}[/]?...".
func (t *Topic) parseStatus(i int) error {
	start := i
	if i < len(t.raw) && t.raw[i] == '-' {
		i++
	}
	n, digits := int64(0), i
	for ; i < len(t.raw) && t.raw[i]-'0' < 10 && i < digits+10; i++ {
		n = n*10 + int64(t.raw[i]-'0')
	}
	if i == len(t.raw) {
		return refuse(faultStatusEnd, i)
	}
	if t.raw[start] == '-' {
		n = -n
	}
	if i == digits || (t.raw[i] != '/' && t.raw[i] != '?') || n != int64(int32(n)) {
		return refuse(faultStatus, start)
	}
	t.Status = int32(n)
	return t.parseQuery(i, needRequestID)
}

// What a query must have.
const (
	needRequestID = 1 << iota
	needExtra
)

// parseQuery reads "[/]?..." at i.
func (t *Topic) parseQuery(i, need int) error {
	if hasPrefixAt(t.raw, i, "/") {
		i++
	}
	if !hasPrefixAt(t.raw, i, "?") {
		return refuse(faultQuery, i)
	}
	i++
	t.bag = t.span(i, len(t.raw))
	for i < len(t.raw) {
		i = t.parsePart(i)
	}
	if need&needRequestID != 0 && t.rid.lo == t.rid.hi {
		return refuse(faultRequestID, len(t.raw))
	}
	if need&needExtra == 0 || t.extra.lo < t.extra.hi {
		return nil
	}
	if t.Kind == DPSQuery {
		return refuse(faultOperationID, len(t.raw))
	}
	return refuse(faultVersion, len(t.raw))
}

// parsePart reads one "name=value" of a query at i, and returns where the next
// begins. Of two with the same name the first counts.
func (t *Topic) parsePart(i int) (next int) {
	end := bytes.IndexByte(t.raw[i:], '&')
	if end < 0 {
		end = len(t.raw)
	} else {
		end += i
	}
	if v, ok := bytes.CutPrefix(t.raw[i:end], []byte("$rid=")); ok {
		if t.rid.hi == 0 {
			t.rid = t.span(end-len(v), end)
		}
	} else if v, ok := bytes.CutPrefix(t.raw[i:end], []byte(t.extraName())); ok && t.extra.hi == 0 {
		t.extra = t.span(end-len(v), end)
	}
	return end + 1
}

// extraName returns what a query may have beside $rid.
func (t *Topic) extraName() string {
	switch t.Kind {
	case DPSQuery:
		return "operationId="
	case DPSResponse:
		return "retry-after="
	}
	return "$version="
}

// parseInt64 reads a decimal number, without a plus sign.
func parseInt64(b []byte) (n int64, ok bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	if len(b) == 0 {
		return 0, false
	}
	for _, c := range b {
		d := int64(c - '0')
		if d > 9 || n > (math.MaxInt64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	if negative {
		n = -n
	}
	return n, true
}
