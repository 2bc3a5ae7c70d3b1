package mqtt

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/internal/testkit"
)

// malformed packets, each with the error it must get, whole.
var malformed = []struct {
	name string
	hex  string
	want PacketError
}{
	{"connect with the name of MQTT 3.1", "10 0e 00 06 4d 51 49 73 64 70 03 02 00 00 00 00",
		PacketError{TypeConnect, "protocol name", 2, 0, "[MQTT-3.1.2-1]", ErrProtocolName}},
	{"connect with a name in lower case", "10 0c 00 04 6d 71 74 74 04 02 00 00 00 00",
		PacketError{TypeConnect, "protocol name", 2, 0, "[MQTT-3.1.2-1]", ErrProtocolName}},
	{"connect with level 5", "10 0d 00 04 4d 51 54 54 05 02 00 00 00 00 00",
		PacketError{TypeConnect, "protocol level", 8, 4, "[MQTT-3.1.2-2]", ErrProtocolLevel}},
	{"connect with the reserved flag", "10 0c 00 04 4d 51 54 54 04 03 00 00 00 00",
		PacketError{TypeConnect, "connect flags", 9, 0, "[MQTT-3.1.2-3]", ErrReserved}},
	{"connect with will QoS 3", "10 11 00 04 4d 51 54 54 04 1e 00 00 00 00 00 01 77 00 00",
		PacketError{TypeConnect, "connect flags", 9, 2, "[MQTT-3.1.2-14]", ErrQoS}},
	{"connect with a will QoS and no will", "10 0c 00 04 4d 51 54 54 04 0a 00 00 00 00",
		PacketError{TypeConnect, "connect flags", 9, 0, "[MQTT-3.1.2-13]", ErrWill}},
	{"connect with will retain and no will", "10 0c 00 04 4d 51 54 54 04 22 00 00 00 00",
		PacketError{TypeConnect, "connect flags", 9, 0, "[MQTT-3.1.2-15]", ErrWill}},
	{"connect with a password and no user name", "10 0e 00 04 4d 51 54 54 04 42 00 00 00 00 00 00",
		PacketError{TypeConnect, "connect flags", 9, 0, "[MQTT-3.1.2-22]", ErrCredentials}},
	{"connect with no client identifier and a persistent session", "10 0c 00 04 4d 51 54 54 04 00 00 00 00 00",
		PacketError{TypeConnect, "client identifier", 12, 0, "[MQTT-3.1.3-8]", ErrClientID}},
	{"connect with a client identifier that is not UTF-8", "10 0d 00 04 4d 51 54 54 04 02 00 00 00 01 ff",
		PacketError{TypeConnect, "client identifier", 14, 0, "[MQTT-1.5.3-1]", ErrUTF8}},
	{"connect with a will topic that is empty", "10 10 00 04 4d 51 54 54 04 06 00 00 00 00 00 00 00 00",
		PacketError{TypeConnect, "will topic", 16, 0, "[MQTT-4.7.3-1]", ErrEmpty}},
	{"connect with a wildcard in the will topic", "10 12 00 04 4d 51 54 54 04 06 00 00 00 00 00 02 61 23 00 00",
		PacketError{TypeConnect, "will topic", 17, 0, "[MQTT-4.7.1-1]", ErrWildcard}},
	{"connect with U+0000 in the user name", "10 0f 00 04 4d 51 54 54 04 82 00 00 00 00 00 01 00",
		PacketError{TypeConnect, "user name", 16, 0, "[MQTT-1.5.3-2]", ErrNUL}},
	{"connect that ends in the password", "10 12 00 04 4d 51 54 54 04 c2 00 00 00 00 00 00 00 05 61 62",
		PacketError{TypeConnect, "password", 16, 20, "section 2.2.3", ErrTruncated}},
	{"connect with a byte too many", "10 0d 00 04 4d 51 54 54 04 02 00 00 00 00 00",
		PacketError{TypeConnect, "packet", 14, 14, "section 2.2.3", ErrTrailing}},
	{"connack with a reserved bit", "20 02 02 00",
		PacketError{TypeConnack, "acknowledge flags", 2, 1, "section 3.2.2.1", ErrReserved}},
	{"connack with return code 6", "20 02 00 06",
		PacketError{TypeConnack, "return code", 3, 5, "section 3.2.2.3", ErrReturnCode}},
	{"connack that refuses and has a session", "20 02 01 05",
		PacketError{TypeConnack, "acknowledge flags", 2, 0, "[MQTT-3.2.2-4]", ErrSession}},
	{"connack of one byte", "20 01 00",
		PacketError{TypeConnack, "return code", 3, 3, "section 2.2.3", ErrTruncated}},
	{"publish with QoS 3", "36 05 00 01 61 00 01",
		PacketError{TypePublish, "fixed header", 0, 2, "[MQTT-3.3.1-4]", ErrQoS}},
	{"publish with DUP and QoS 0", "38 03 00 01 61",
		PacketError{TypePublish, "fixed header", 0, 0, "[MQTT-3.3.1-2]", ErrDup}},
	{"publish without a topic", "30 02 00 00",
		PacketError{TypePublish, "topic", 4, 0, "[MQTT-4.7.3-1]", ErrEmpty}},
	{"publish without anything", "30 00",
		PacketError{TypePublish, "topic", 2, 2, "section 2.2.3", ErrTruncated}},
	{"publish whose topic goes on behind its end", "30 03 00 02 61",
		PacketError{TypePublish, "topic", 2, 5, "section 2.2.3", ErrTruncated}},
	{"publish with a hash in the topic", "30 0c 00 0a 61 62 63 64 65 66 67 68 69 23",
		PacketError{TypePublish, "topic", 13, 0, "[MQTT-3.3.2-2]", ErrWildcard}},
	{"publish with a plus in the topic", "30 05 00 03 61 2b 62",
		PacketError{TypePublish, "topic", 5, 0, "[MQTT-3.3.2-2]", ErrWildcard}},
	{"publish with U+0000 in the topic", "30 0c 00 0a 61 62 63 00 65 66 67 68 69 6a",
		PacketError{TypePublish, "topic", 7, 0, "[MQTT-1.5.3-2]", ErrNUL}},
	{"publish with a surrogate in the topic", "30 06 00 04 61 ed a0 80",
		PacketError{TypePublish, "topic", 5, 0, "[MQTT-1.5.3-1]", ErrUTF8}},
	{"publish with an overlong character in the topic", "30 04 00 02 c0 80",
		PacketError{TypePublish, "topic", 4, 0, "[MQTT-1.5.3-1]", ErrUTF8}},
	{"publish with U+0000 behind a wildcard", "30 05 00 03 23 00 ff",
		PacketError{TypePublish, "topic", 4, 0, "[MQTT-3.3.2-2]", ErrWildcard}},
	{"publish with packet identifier 0", "32 05 00 01 61 00 00",
		PacketError{TypePublish, "packet identifier", 5, 0, "[MQTT-2.3.1-1]", ErrPacketID}},
	{"publish with half a packet identifier", "32 04 00 01 61 01",
		PacketError{TypePublish, "packet identifier", 5, 6, "section 2.2.3", ErrTruncated}},
	{"puback with packet identifier 0", "40 02 00 00",
		PacketError{TypePuback, "packet identifier", 2, 0, "[MQTT-2.3.1-1]", ErrPacketID}},
	{"puback of three bytes", "40 03 00 01 00",
		PacketError{TypePuback, "packet", 4, 4, "section 2.2.3", ErrTrailing}},
	{"pubrel without its flags", "60 02 00 01",
		PacketError{TypePubrel, "fixed header", 0, 0, "[MQTT-3.6.1-1]", ErrFlags}},
	{"subscribe without its flags", "80 06 00 01 00 01 61 00",
		PacketError{TypeSubscribe, "fixed header", 0, 0, "[MQTT-3.8.1-1]", ErrFlags}},
	{"subscribe with packet identifier 0", "82 06 00 00 00 01 61 00",
		PacketError{TypeSubscribe, "packet identifier", 2, 0, "[MQTT-2.3.1-1]", ErrPacketID}},
	{"subscribe without a filter", "82 02 00 01",
		PacketError{TypeSubscribe, "list of topic filters", 4, 0, "[MQTT-3.8.3-3]", ErrEmpty}},
	{"subscribe without a QoS", "82 05 00 01 00 01 61",
		PacketError{TypeSubscribe, "requested QoS", 7, 7, "section 2.2.3", ErrTruncated}},
	{"subscribe with QoS 3", "82 06 00 01 00 01 61 03",
		PacketError{TypeSubscribe, "requested QoS", 7, 2, "[MQTT-3-8.3-4]", ErrQoS}},
	{"subscribe with reserved bits in the QoS", "82 06 00 01 00 01 61 41",
		PacketError{TypeSubscribe, "requested QoS", 7, 2, "[MQTT-3-8.3-4]", ErrQoS}},
	{"subscribe with an empty filter", "82 05 00 01 00 00 00",
		PacketError{TypeSubscribe, "topic filter", 6, 0, "[MQTT-4.7.3-1]", ErrEmpty}},
	{"subscribe whose second filter is cut", "82 09 00 01 00 01 61 00 00 02 62",
		PacketError{TypeSubscribe, "topic filter", 8, 11, "section 2.2.3", ErrTruncated}},
	{"subscribe with a hash in the middle", "82 08 00 01 00 03 23 2f 61 00",
		PacketError{TypeSubscribe, "topic filter", 6, 0, "[MQTT-4.7.1-2]", ErrFilter}},
	{"subscribe with a hash that shares its level", "82 07 00 01 00 02 61 23 00",
		PacketError{TypeSubscribe, "topic filter", 7, 0, "[MQTT-4.7.1-2]", ErrFilter}},
	{"subscribe with a plus that shares its level", "82 07 00 01 00 02 2b 61 00",
		PacketError{TypeSubscribe, "topic filter", 6, 0, "[MQTT-4.7.1-3]", ErrFilter}},
	{"suback without a code", "90 02 00 01",
		PacketError{TypeSuback, "list of return codes", 4, 0, "[MQTT-3.8.4-5]", ErrEmpty}},
	{"suback with code 3", "90 04 00 01 00 03",
		PacketError{TypeSuback, "list of return codes", 5, 128, "[MQTT-3.9.3-2]", ErrReturnCode}},
	{"unsubscribe without its flags", "a0 05 00 01 00 01 61",
		PacketError{TypeUnsubscribe, "fixed header", 0, 0, "[MQTT-3.10.1-1]", ErrFlags}},
	{"unsubscribe without a filter", "a2 02 00 01",
		PacketError{TypeUnsubscribe, "list of topic filters", 4, 0, "[MQTT-3.10.3-2]", ErrEmpty}},
	{"unsubscribe whose filter is cut", "a2 05 00 01 00 02 61",
		PacketError{TypeUnsubscribe, "topic filter", 4, 7, "section 2.2.3", ErrTruncated}},
	{"pingreq with a byte in it", "c0 01 00",
		PacketError{TypePingreq, "packet", 2, 2, "section 2.2.3", ErrTrailing}},
	{"disconnect with a flag", "e1 00",
		PacketError{TypeDisconnect, "fixed header", 0, 0, "[MQTT-3.14.1-1]", ErrFlags}},
	{"remaining length of five bytes", "30 80 80 80 80 01",
		PacketError{TypePublish, "remaining length", 1, MaxRemaining, "section 2.2.3", ErrLength}},
}

func TestMalformedPacketsAreRefusedByName(t *testing.T) {
	for _, tt := range malformed {
		t.Run(tt.name, func(t *testing.T) {
			p := Packet(unhex(t, tt.hex))
			_, err := parseAny(p)
			var got *PacketError
			if !errors.As(err, &got) {
				t.Fatalf("error is %v, want a *PacketError", err)
			}
			if diff := cmp.Diff(tt.want, *got, cmp.Comparer(func(a, b error) bool { return a == b })); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !errors.Is(err, tt.want.Err) {
				t.Errorf("%v does not match %v", err, tt.want.Err)
			}
			testkit.NoAllocs(t, "refusing again", func() { parseOne(p) })
		})
	}
}

// parseOne is parseAny without the boxing, which allocates.
func parseOne(p Packet) (err error) {
	switch p.Type() {
	case TypeConnect:
		_, err = ParseConnect(p)
	case TypeConnack:
		_, err = ParseConnack(p)
	case TypePublish:
		_, err = ParsePublish(p)
	case TypePuback:
		_, err = ParsePuback(p)
	case TypePubrec:
		_, err = ParsePubrec(p)
	case TypePubrel:
		_, err = ParsePubrel(p)
	case TypePubcomp:
		_, err = ParsePubcomp(p)
	case TypeSubscribe:
		_, err = ParseSubscribe(p)
	case TypeSuback:
		_, err = ParseSuback(p)
	case TypeUnsubscribe:
		_, err = ParseUnsubscribe(p)
	case TypeUnsuback:
		_, err = ParseUnsuback(p)
	case TypePingreq:
		_, err = ParsePingreq(p)
	case TypePingresp:
		_, err = ParsePingresp(p)
	case TypeDisconnect:
		_, err = ParseDisconnect(p)
	}
	return err
}

func TestPacketErrorNamesEverything(t *testing.T) {
	_, err := ParsePublish(unhex(t, "30 05 00 03 61 2b 62"))
	if want := "mqtt: PUBLISH: topic at offset 5: holds a wildcard ([MQTT-3.3.2-2])"; err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	_, _, err = Split([]byte{0x30, 0xff, 0xff, 0x7f}, 1000)
	if want := "mqtt: PUBLISH: remaining length at offset 1: packet is too large, the limit is 1000 (section 2.2.3)"; err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}

// Two faults may share a slot of the table of errors; the later one must not
// change what the holder of the earlier one sees.
func TestSharedErrorsDoNotMix(t *testing.T) {
	first := refuse(TypePublish, partTopic, faultNUL, 5, 0)
	var held []error
	for offset := range 5000 {
		held = append(held, refuse(TypePublish, partTopic, faultNUL, offset, 0))
	}
	for offset, err := range held {
		if e := err.(*PacketError); e.Offset != offset {
			t.Fatalf("error for offset %d says %d", offset, e.Offset)
		}
	}
	if diff := cmp.Diff(first, held[5], cmp.Comparer(func(a, b error) bool { return errors.Is(a, b) || a.Error() == b.Error() })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestChecksRefuseWhatCannotBeWritten(t *testing.T) {
	long := []byte(strings.Repeat("x", MaxString+1))
	tests := []struct {
		name   string
		packet writable
		want   error
		offset int
	}{
		{"client identifier too long", &Connect{ClientID: long}, ErrTooLong, 14},
		{"user name too long", &Connect{ClientID: []byte("d"), UserName: long}, ErrTooLong, 17},
		{"password too long", &Connect{ClientID: []byte("d"), UserName: []byte("u"), Password: NewSecret(long)}, ErrTooLong, 20},
		{"will message too long", &Connect{ClientID: []byte("d"), Will: Will{Topic: []byte("t"), Payload: long}}, ErrTooLong, 20},
		{"will topic with a wildcard", &Connect{ClientID: []byte("d"), Will: Will{Topic: []byte("+")}}, ErrWildcard, 17},
		{"will topic that is empty", &Connect{ClientID: []byte("d"), Will: Will{Topic: []byte{}}}, ErrEmpty, 17},
		{"will QoS 3", &Connect{ClientID: []byte("d"), Will: Will{Topic: []byte("t"), QoS: 3}}, ErrQoS, 9},
		{"will QoS without a will", &Connect{ClientID: []byte("d"), Will: Will{QoS: 1}}, ErrWill, 9},
		{"will retain without a will", &Connect{ClientID: []byte("d"), Will: Will{Retain: true}}, ErrWill, 9},
		{"password without a user name", &Connect{ClientID: []byte("d"), Password: NewSecret([]byte("p"))}, ErrCredentials, 9},
		{"no client identifier", &Connect{}, ErrClientID, 12},
		{"user name that is not UTF-8", &Connect{ClientID: []byte("d"), UserName: []byte("a\xff")}, ErrUTF8, 18},
		{"user name behind a will without a message", &Connect{ClientID: []byte("d"), Will: Will{Topic: []byte("t")}, UserName: []byte("a\xff")}, ErrUTF8, 23},
		{"user name and a message of no will", &Connect{ClientID: []byte("d"), Will: Will{Payload: []byte("m")}, UserName: []byte("a\xff")}, ErrUTF8, 18},
		{"flags before fields", &Connect{ClientID: []byte("\xff"), Will: Will{Topic: []byte("t"), QoS: 3}}, ErrQoS, 9},
		{"return code 6", &Connack{Code: 6}, ErrReturnCode, 3},
		{"refusal with a session", &Connack{Code: BadProtocol, SessionPresent: true}, ErrSession, 2},
		{"publish with QoS 3", &Publish{Topic: []byte("t"), QoS: 3, ID: 1}, ErrQoS, 0},
		{"publish with DUP and QoS 0", &Publish{Topic: []byte("t"), Dup: true}, ErrDup, 0},
		{"publish without identifier", &Publish{Topic: []byte("t"), QoS: 1}, ErrPacketID, 5},
		{"topic too long", &Publish{Topic: long}, ErrTooLong, 4},
		{"no topic", &Publish{}, ErrEmpty, 4},
		{"topic with a wildcard", &Publish{Topic: []byte("a/#")}, ErrWildcard, 6},
		{"payload too long", &Publish{Topic: []byte("t"), Payload: make([]byte, MaxRemaining)}, ErrTooLarge, 1},
		{"puback 0", &Puback{}, ErrPacketID, 2},
		{"pubrec 0", &Pubrec{}, ErrPacketID, 2},
		{"pubrel 0", &Pubrel{}, ErrPacketID, 2},
		{"pubcomp 0", &Pubcomp{}, ErrPacketID, 2},
		{"unsuback 0", &Unsuback{}, ErrPacketID, 2},
		{"subscribe 0", &Subscribe{Filters: filters(t, "a", AtMostOnce)}, ErrPacketID, 2},
		{"subscribe to nothing", &Subscribe{ID: 1}, ErrEmpty, 4},
		{"subscribe with a list made by hand", &Subscribe{ID: 1, Filters: Filters{0, 1, 'a', 3}}, ErrQoS, 7},
		{"subscribe with half a list", &Subscribe{ID: 1, Filters: Filters{0, 2, 'a'}}, ErrTruncated, 4},
		{"suback 0", &Suback{Codes: []byte{0}}, ErrPacketID, 2},
		{"suback without a code", &Suback{ID: 1}, ErrEmpty, 4},
		{"suback with code 127", &Suback{ID: 1, Codes: []byte{0, 127}}, ErrReturnCode, 5},
		{"unsubscribe 0", &Unsubscribe{Filters: filterNames(t, "a")}, ErrPacketID, 2},
		{"unsubscribe from nothing", &Unsubscribe{ID: 1}, ErrEmpty, 4},
		{"unsubscribe with half a list", &Unsubscribe{ID: 1, Filters: FilterNames{0}}, ErrTruncated, 4},
	}
	for _, tt := range tests {
		err := tt.packet.Check()
		var pe *PacketError
		if !errors.Is(err, tt.want) || !errors.As(err, &pe) || pe.Offset != tt.offset {
			t.Errorf("%s: %v, want %v at offset %d", tt.name, err, tt.want, tt.offset)
		}
	}
}

func TestFiltersAreRefusedWhereTheyEnter(t *testing.T) {
	good := []string{"#", "+", "/", "a", "a/#", "+/#", "/+", "+/+", "a/+/b", "a//b", "$iothub/twin/res/#", "é/#"}
	for _, f := range good {
		if list, err := AppendFilter(nil, f, AtLeastOnce); err != nil || list.Len() != 1 {
			t.Errorf("AppendFilter(%q): %v, %d filters", f, err, list.Len())
		}
		if list, err := AppendFilterName(nil, []byte(f)); err != nil || list.Len() != 1 {
			t.Errorf("AppendFilterName(%q): %v, %d filters", f, err, list.Len())
		}
	}
	before := filters(t, "a", AtMostOnce)
	bad := map[string]error{
		"": ErrEmpty, "#/": ErrFilter, "##": ErrFilter, "a#": ErrFilter, "a/#/b": ErrFilter, "a+": ErrFilter,
		"+a": ErrFilter, "a/b+/c": ErrFilter, "++": ErrFilter, "+#": ErrFilter, "a\x00": ErrNUL, "a\xc3": ErrUTF8,
		strings.Repeat("x", MaxString+1): ErrTooLong,
	}
	for f, want := range bad {
		if list, err := AppendFilter(before, f, AtMostOnce); !errors.Is(err, want) || len(list) != len(before) {
			t.Errorf("AppendFilter(%.20q): %v, want %v; list has %d bytes", f, err, want, len(list))
		}
		if list, err := AppendFilterName(nil, f); !errors.Is(err, want) || len(list) != 0 {
			t.Errorf("AppendFilterName(%.20q): %v, want %v; list has %d bytes", f, err, want, len(list))
		}
	}
	if _, err := AppendFilter(nil, "a", 3); !errors.Is(err, ErrQoS) {
		t.Errorf("AppendFilter with QoS 3: %v", err)
	}
}
