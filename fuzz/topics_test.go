package fuzz

import (
	"bytes"
	"errors"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/topics"
)

var topicSeeds = []string{
	"devices/d1/messages/events/", "devices/d1/messages/events", "/devices/d1/messages/events/?a=b//", "devices/d/modules/m/messages/events/%24.mid=1&k=v/",
	"devices/Küche/messages/events/k=a/b&%24.ct=application/json&+", "devices/d/messages/devicebound/%24.to=%2Fx&iothub-ack=full",
	"devices/d/modules/m/messages/devicebound/", "devices/d/modules/m/inputs/in%20put/a=b", "devices/+/messages/events/", "devices/d/messages/events/#",
	"$iothub/methods/POST/reboot/?$rid=1a2", "$iothub/methods/POST/größe?$rid=1&k=a/b", "$iothub/methods/POST/m?$rid=1/?x", "$iothub/methods/POST/getMaxMinReport/?$rid=3226c2f7-3d30-425c-b83b-0c34335f8220",
	"$iothub/methods/res/200/?$rid=1", "$iothub/methods/res/-2147483648?$random&$rid=1", "$iothub/methods/res/65535/?$rid=1", "$iothub/twin/GET?$rid=1",
	"$iothub/twin/PATCH/properties/reported/?$rid=错误&$version=%20a", "$iothub/twin/PATCH/properties/reported", "$iothub/twin/PATCH/properties/desired/?$version=3",
	"$iothub/twin/res/204/?$rid=2f&$version=17", "$iothub/twin/res/204/?$version=17&$rid=2f", "$iothub/twin/res/20x/?$rid=2f",
	"$dps/registrations/PUT/iotdps-register/?$rid=1", "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=1&operationId=4.d0",
	"$dps/registrations/res/202/?retry-after=120&$rid=1", "devices/\xed\xa0\x80/messages/events/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\x00",
}

// topicReading is all that a topic says.
type topicReading struct {
	Kind                        topics.Kind
	Device, Module, Name        string
	Status                      int
	RID, Version, Op, Wait, Bag string
}

func readTopic(t topics.Topic) topicReading {
	r := topicReading{
		Kind: t.Kind, Device: string(t.DeviceID()), Module: string(t.ModuleID()), Name: string(t.Name()), Status: t.Status(),
		RID: string(t.RequestID()), Version: string(t.VersionText()), Op: string(t.OperationID()), Bag: string(t.Bag()),
	}
	if d, ok := t.RetryAfter(); ok {
		r.Wait = d.String()
	}
	return r
}

func checkTopicError(t *testing.T, in string, err error) {
	t.Helper()
	var se *topics.SyntaxError
	if !errors.As(err, &se) || se.Part == "" || se.Err == nil || se.Offset < 0 || se.Offset > len(in) {
		t.Fatalf("%q: an error that does not say what and where: %#v", in, err)
	}
}

// What is taken must be what a slow and plain reading of the rules says, and
// come out the same: parse, append, parse.
func FuzzTopic(f *testing.F) {
	for _, s := range topicSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		parsed, err := topics.Parse([]byte(in))
		want, ok := slowTopic(in)
		if (err == nil) != ok {
			t.Fatalf("%q: %v, but the slow twin says %v", in, err, ok)
		}
		if err != nil {
			checkTopicError(t, in, err)
			return
		}
		got := readTopic(parsed)
		got.Wait = "" // the twin has no clock
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q (-slow +ours):\n%s", in, diff)
		}
		ours := appendTopic(parsed)
		again, err := topics.Parse(ours)
		if err != nil {
			t.Fatalf("%q -> %q: %v", in, ours, err)
		}
		first, second := readTopic(parsed), readTopic(again)
		for _, r := range []*topicReading{&first, &second} {
			r.Name = unescapeTopic(r.Name) // ours may be escaped elsewise
			r.Op = unescapeTopic(r.Op)
			if r.Kind >= topics.MethodRequest {
				r.Bag = "" // ours has only the parts that are known
			}
		}
		if first.Kind == topics.TwinReported || first.Kind == topics.TwinResponse {
			first.Version, second.Version = versionOf(parsed), versionOf(again) // ours is a number
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Fatalf("%q -> %q (-first +second):\n%s", in, ours, diff)
		}
	})
}

func unescapeTopic(s string) string { return string(topics.AppendUnescape(nil, s)) }

func versionOf(t topics.Topic) string {
	n, _ := t.Version()
	return strconv.FormatInt(n, 10)
}

// appendTopic writes what t says as this library writes it.
func appendTopic(t topics.Topic) []byte {
	id, rid := t.Identity(), t.RequestID()
	version, _ := t.Version()
	wait, _ := t.RetryAfter()
	switch t.Kind {
	case topics.Telemetry:
		return append(topics.AppendTelemetry(nil, id), t.Bag()...)
	case topics.C2D:
		return append(topics.AppendC2D(nil, id), t.Bag()...)
	case topics.Input:
		return append(topics.AppendInput(nil, id, unescapeTopic(string(t.Name()))), t.Bag()...)
	case topics.MethodRequest:
		return topics.AppendMethodRequest(nil, unescapeTopic(string(t.Name())), rid)
	case topics.MethodResponse:
		return topics.AppendMethodResponse(nil, t.Status(), rid)
	case topics.TwinGet:
		return topics.AppendTwinGet(nil, rid)
	case topics.TwinReported:
		return topics.AppendTwinReported(nil, rid, version)
	case topics.TwinResponse:
		return topics.AppendTwinResponse(nil, t.Status(), rid, version)
	case topics.TwinDesired:
		return append([]byte("$iothub/twin/PATCH/properties/desired/?$version="), t.VersionText()...)
	case topics.DPSRegister:
		return topics.AppendDPSRegister(nil, rid)
	case topics.DPSQuery:
		return topics.AppendDPSQuery(nil, rid, unescapeTopic(string(t.OperationID())))
	}
	return topics.AppendDPSResponse(nil, t.Status(), rid, wait)
}

// The rules of Parse, one expression a family.
var (
	slowDevice  = regexp.MustCompile(`(?s)^(/?)devices/([^/]+)(?:/modules/([^/]+))?/(messages/events|messages/devicebound|inputs/([^/]+))(/.*)?$`)
	slowMethod  = regexp.MustCompile(`(?s)^\$iothub/methods/POST/([^/]+?)/\?(\$rid=.*)$`)
	slowMethod2 = regexp.MustCompile(`(?s)^\$iothub/methods/POST/([^/?]+)\?(\$rid=[^/]*(?:/(?:[^?].*)?)?)$`) // where no "/?" ends the name
	slowStatus  = regexp.MustCompile(`(?s)^(\$iothub/methods/res|\$iothub/twin/res|\$dps/registrations/res)/(-?[0-9]{1,10})/?\?(.*)$`)
	slowQuery   = regexp.MustCompile(`(?s)^(\$iothub/twin/GET|\$iothub/twin/PATCH/properties/desired|\$dps/registrations/PUT/iotdps-register|\$dps/registrations/GET/iotdps-get-operationstatus)/?\?(.*)$`)
	slowPatch   = regexp.MustCompile(`(?s)^\$iothub/twin/PATCH/properties/reported/?(?:\?(.*))?$`)
)

// slowTopic is the slow twin of Parse, without retry-after.
func slowTopic(in string) (r topicReading, ok bool) {
	if len(in) > 65535 || !utf8.ValidString(in) || strings.ContainsAny(in, "\x00#") {
		return r, false
	}
	if m := slowDevice.FindStringSubmatch(in); m != nil {
		r.Device, r.Module, r.Name = m[2], m[3], m[5]
		switch {
		case m[4] == "messages/events":
			r.Kind = topics.Telemetry
			r.Bag = strings.TrimRight(strings.TrimPrefix(strings.TrimPrefix(m[6], "/"), "?"), "/")
		case m[4] == "messages/devicebound":
			r.Kind = topics.C2D
			r.Bag = strings.TrimPrefix(m[6], "/")
		default:
			r.Kind = topics.Input
			r.Bag = strings.TrimPrefix(m[6], "/")
			ok = r.Module != "" && m[6] != "" && r.Name != "+"
		}
		ok = (ok || r.Kind != topics.Input) && r.Device != "+" && r.Module != "+" && (m[1] == "" || r.Kind == topics.Telemetry)
		return r, ok
	}
	m := slowMethod.FindStringSubmatch(in)
	if m == nil {
		m = slowMethod2.FindStringSubmatch(in)
	}
	if m != nil {
		r.Kind, r.Name, r.Bag = topics.MethodRequest, m[1], m[2]
		r.RID, _ = slowPart(r.Bag, "$rid=")
		return r, r.RID != "" && r.Name != "+"
	}
	if m := slowStatus.FindStringSubmatch(in); m != nil {
		n, err := strconv.ParseInt(m[2], 10, 32)
		r.Status, r.Bag = int(n), m[3]
		r.RID, _ = slowPart(r.Bag, "$rid=")
		switch m[1] {
		case "$iothub/methods/res":
			r.Kind = topics.MethodResponse
		case "$dps/registrations/res":
			r.Kind = topics.DPSResponse
		default:
			r.Kind = topics.TwinResponse
			r.Version, _ = slowPart(r.Bag, "$version=")
			first, _, _ := strings.Cut(r.Bag, "&")
			known := strings.HasPrefix(first, "$rid=") || strings.HasPrefix(first, "$version=")
			if len(m[2]) != 3 || m[2][0] == '-' || m[2][0] == '0' || !known {
				return r, false
			}
		}
		return r, err == nil && r.RID != ""
	}
	if m := slowQuery.FindStringSubmatch(in); m != nil {
		r.Bag = m[2]
		r.RID, _ = slowPart(r.Bag, "$rid=")
		switch m[1] {
		case "$iothub/twin/GET":
			r.Kind = topics.TwinGet
		case "$iothub/twin/PATCH/properties/desired":
			r.Kind = topics.TwinDesired
			r.Version, _ = slowPart(r.Bag, "$version=")
			return r, r.Version != ""
		case "$dps/registrations/PUT/iotdps-register":
			r.Kind = topics.DPSRegister
		default:
			r.Kind = topics.DPSQuery
			r.Op, _ = slowPart(r.Bag, "operationId=")
			return r, r.RID != "" && r.Op != ""
		}
		return r, r.RID != ""
	}
	if m := slowPatch.FindStringSubmatch(in); m != nil {
		r.Kind, r.Bag = topics.TwinReported, m[1]
		r.RID, _ = slowPart(r.Bag, "$rid=")
		r.Version, _ = slowPart(r.Bag, "$version=")
		return r, true
	}
	return r, false
}

func slowPart(query, name string) (string, bool) {
	for part := range strings.SplitSeq(query, "&") {
		if v, ok := strings.CutPrefix(part, name); ok {
			return v, true
		}
	}
	return "", false
}

// A bag must say what a slow reading with package strings and net/url says, in
// each of the ways to read one, and the same again when it is written anew.
func FuzzTopicBag(f *testing.F) {
	for _, s := range []string{
		"", "a=b", "k&k=&=v&=", "&&a=1&a=2&", "a=b=c", "%24.mid=1&$.to=%2Fx&k=a/b", "a+b=+&%2B=%2b", "%zz=%4&%=%%41&e=%4%41",
		"a=%C3%A9%e2%82%acx&b=%C3&%A9=%41%ff", "é=€😀&😀%41=é%C3%A9é", "a=%ED%A0%BD%ED%B8%80%41", strings.Repeat("n%41", 20) + "=" + strings.Repeat("v", 40) + "&x=y", "\xff=%41\xc3&%C3\xa9=1",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		b := topics.Bag(in)
		var want, raw []hubwire.Property
		var nulls []bool
		for part := range strings.SplitSeq(string(in), "&") {
			if part == "" {
				continue
			}
			name, value, hasValue := strings.Cut(part, "=")
			raw = append(raw, hubwire.Property{Name: name, Value: value})
			want = append(want, hubwire.Property{Name: unescapeTopic(name), Value: unescapeTopic(value)})
			nulls = append(nulls, !hasValue)
			for _, s := range []string{name, value} {
				if theirs, err := url.PathUnescape(s); err == nil && utf8.ValidString(s) && utf8.ValidString(theirs) && unescapeTopic(s) != theirs {
					t.Fatalf("%q is %q, net/url says %q", s, unescapeTopic(s), theirs)
				}
				if utf8.ValidString(s) && unescapeTopic(s) != slowBagUnescape(s) {
					t.Fatalf("%q is %q, the slow way %q", s, unescapeTopic(s), slowBagUnescape(s))
				}
			}
		}
		i := 0
		for p := range b.Pairs() {
			if i == len(raw) || string(p.Name) != raw[i].Name || string(p.Value) != raw[i].Value || p.Null != nulls[i] {
				t.Fatalf("%q: pair %d is %q = %q, %v", in, i, p.Name, p.Value, p.Null)
			}
			i++
		}
		if i != len(raw) {
			t.Fatalf("%q has %d pairs, want %d", in, i, len(raw))
		}
		if diff := cmp.Diff(want, b.AppendProperties(nil), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%q (-slow +ours):\n%s", in, diff)
		}
		decoded, room := b.AppendDecoded(nil, []byte("kept"))
		var got []hubwire.Property
		var anew []byte
		for i, p := range decoded {
			if got = append(got, hubwire.Property{Name: string(p.Name), Value: string(p.Value)}); p.Null != nulls[i] {
				t.Fatalf("%q: pair %d is null: %v", in, i, p.Null)
			}
			if p.Null {
				anew = topics.AppendNull(anew, p.Name)
			} else {
				anew = topics.AppendProperty(anew, p.Name, p.Value)
			}
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || !bytes.HasPrefix(room, []byte("kept")) {
			t.Fatalf("%q decoded to %q (-slow +ours):\n%s", in, room, diff)
		}
		if !utf8.Valid(in) {
			return // what is not UTF-8 may not come out of its escapes again
		}
		if diff := cmp.Diff(want, topics.Bag(anew).AppendProperties(nil), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%q -> %q (-first +second):\n%s", in, anew, diff)
		}
	})
}

// slowBagUnescape is topics.AppendUnescape: a plus sign stays one, and what
// would not be UTF-8 stays as it is.
func slowBagUnescape(s string) string {
	plain := slowUnescape(strings.ReplaceAll(s, "+", "%2B"))
	if !utf8.ValidString(plain) {
		return s
	}
	return plain
}

func FuzzTopicFilter(f *testing.F) {
	for _, s := range []string{
		topics.MethodFilter, topics.TwinResponseFilter, topics.TwinDesiredFilter, topics.DPSResponseFilter, topics.C2DAnyFilter, "#", "devices/#",
		"devices/d/modules/m/#", "devices/d/modules/+/inputs/#", "devices/d/modules/m/messages/devicebound/#", "devices//modules/\xff/#", "$iothub/#",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		parsed, err := topics.ParseFilter([]byte(in))
		if err != nil {
			checkTopicError(t, in, err)
			return
		}
		id := hubwire.Identity{DeviceID: string(parsed.DeviceID), ModuleID: string(parsed.ModuleID)}
		ours := map[topics.Kind]string{
			topics.MethodRequest: topics.MethodFilter, topics.TwinResponse: topics.TwinResponseFilter, topics.TwinDesired: topics.TwinDesiredFilter,
			topics.DPSResponse: topics.DPSResponseFilter, topics.C2D: string(topics.AppendC2DFilter(nil, id)), topics.Input: string(topics.AppendModuleFilter(nil, id)),
		}[parsed.Kind]
		again, err := topics.ParseFilter([]byte(ours))
		if err != nil {
			t.Fatalf("%q -> %q: %v", in, ours, err)
		}
		if diff := cmp.Diff(parsed, again, cmp.Comparer(bytes.Equal)); diff != "" {
			t.Fatalf("%q -> %q (-first +second):\n%s", in, ours, diff)
		}
		if !parsed.Allows(id) {
			t.Fatalf("%q is not for %v", in, id)
		}
	})
}

func FuzzUserName(f *testing.F) {
	for _, s := range []string{
		"h/d/?api-version=2020-09-30&DeviceClientType=azsdk-c%2F1.5.0&model-id=dtmi%3Aa%3Ab%3B1", "h/d/m/api-version=1&DeviceClientType=os=x&", "h/d?x/?m?/?api-version=1",
		"h/d/m/api-version=2017-06-30/DeviceClientType=Microsoft.Azure.Devices.Client/1.5.1-preview-003", "h/leaf/?api-version=1&auth-chain=leaf%3Bedge1%3B%3Bedge2", " h / d /?api-version=%zz",
		"h/d", "h/d/?DeviceClientType=a/b", "0ne/registrations/r/api-version=2019-03-31&ClientVersion=c/1.2.3", "0ne/registrations/r/?ClientVersion=&api-version=1", "d/m", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		u, err := topics.ParseUserName(in, nil)
		if err != nil {
			checkTopicError(t, in, err)
		} else if ours := string(topics.AppendUserName(nil, &u)); len(ours) <= 65535 {
			again, err := topics.ParseUserName(ours, nil)
			if err != nil {
				t.Fatalf("%q -> %q: %v", in, ours, err)
			}
			if diff := cmp.Diff(u, again); diff != "" {
				t.Fatalf("%q -> %q (-first +second):\n%s", in, ours, diff)
			}
		}
		if _, err := topics.ParseUserName(in, &topics.UserNameOptions{Lenient: true}); err != nil {
			checkTopicError(t, in, err)
		}
		d, err := topics.ParseDPSUserName(in)
		if err != nil {
			checkTopicError(t, in, err)
		} else {
			ours := string(topics.AppendDPSUserName(nil, &d))
			if again, err := topics.ParseDPSUserName(ours); err != nil || again != d {
				t.Fatalf("%q -> %q -> %v, %v", in, ours, again, err)
			}
		}
		id, err := topics.ParseClientID(in)
		if err != nil {
			checkTopicError(t, in, err)
		} else if ours := string(topics.AppendClientID(nil, id)); ours != in {
			t.Fatalf("%q -> %v -> %q", in, id, ours)
		}
	})
}

// The JSON bodies of DPS and Plug and Play: what is taken comes out the same.
func FuzzTopicBodies(f *testing.F) {
	for _, s := range []string{
		"", "{}", `{"registrationId":"r","payload":{"a":[1, 2]}}`, `{"operationId":"4.d0","status":"assigning"}`, `{"errorCode":401002,"message":"Invalid certificate."}`,
		`{"operationId":"4","status":"assigned","registrationState":{"x509":{},"assignedHub":"h","deviceId":"d","payload":null}}`,
		`{"thermostat1":{"__t":"c","target":21.3},"$version":3,"a":{"value":1,"ac":200,"av":7,"ad":"x"}}`, `{"a":{"__t":"c","b":null},"a":1}`, `{"a":`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		registration, err := topics.ParseDPSRegistration(in)
		if err != nil {
			checkTopicError(t, string(in), err)
		} else {
			ours := topics.AppendDPSRegistration(nil, &registration)
			again, err := topics.ParseDPSRegistration(ours)
			if diff := cmp.Diff(registration, again, cmpopts.EquateEmpty()); diff != "" || err != nil {
				t.Fatalf("%q -> %q, %v (-first +second):\n%s", in, ours, err, diff)
			}
		}
		result, err := topics.ParseDPSResult(in)
		if err != nil {
			checkTopicError(t, string(in), err)
		} else {
			ours, err := topics.AppendDPSResult(nil, &result)
			if err != nil {
				t.Fatalf("%q: %v", in, err)
			}
			if _, err := topics.ParseDPSResult(ours); err != nil {
				t.Fatalf("%q -> %q: %v", in, ours, err)
			}
		}
		for p, err := range topics.TwinProperties(in, nil) {
			if err != nil {
				checkTopicError(t, string(in), err)
				break
			}
			ours := topics.AppendReported(nil, p.Component, p.Name, p.Value)
			n := 0
			for again, err := range topics.TwinProperties(ours, nil) {
				if diff := cmp.Diff(p, again); diff != "" || err != nil || n > 0 {
					t.Fatalf("%q -> %q, %v (-first +second):\n%s", in, ours, err, diff)
				}
				n++
			}
			if a, ok := topics.ParseAcknowledgement(p.Value); ok && len(a.Value) > 0 {
				topics.AppendAcknowledged(nil, p.Component, p.Name, &a)
			}
		}
	})
}
