package topics_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/topics"
)

func TestParseUserName(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     topics.UserName
	}{
		{"Embedded C", "h/d/?api-version=2020-09-30&DeviceClientType=azsdk-c%2F1.5.0&model-id=dtmi%3Aa%3Ab%3B1",
			topics.UserName{Host: "h", Identity: device, APIVersion: "2020-09-30", ClientType: "azsdk-c/1.5.0", ModelID: "dtmi:a:b;1"}},
		{"Embedded C, whose caller escaped nothing", "h/d/?api-version=2020-09-30&DeviceClientType=os=azrtos",
			topics.UserName{Host: "h", Identity: device, APIVersion: "2020-09-30", ClientType: "os=azrtos"}},
		{"C", "h/d/?api-version=2020-09-30&DeviceClientType=iothubclient%2f1.11.0&model-id=dtmi%3aa%3ab%3b1",
			topics.UserName{Host: "h", Identity: device, APIVersion: "2020-09-30", ClientType: "iothubclient/1.11.0", ModelID: "dtmi:a:b;1"}},
		{"Node, which escapes no model id", "h/d/m/?api-version=2021-04-12&model-id=dtmi:a:b;1&DeviceClientType=azure-iot-device%2F1.18.3%20(node%20v18)",
			topics.UserName{Host: "h", Identity: module, APIVersion: "2021-04-12", ClientType: "azure-iot-device/1.18.3 (node v18)", ModelID: "dtmi:a:b;1"}},
		{"Python", "h/d/?api-version=2019-10-01&DeviceClientType=azure-iot-device-iothub-py%2F2.12.0%283.11.2%3BLinux%3B%23x86_64%29",
			topics.UserName{Host: "h", Identity: device, APIVersion: "2019-10-01", ClientType: "azure-iot-device-iothub-py/2.12.0(3.11.2;Linux;#x86_64)"}},
		{".NET behind gateways", "h/leaf/?api-version=2020-09-30&DeviceClientType=.NET%2F1.42&auth-chain=leaf%3Bedge1%3Bedge2",
			topics.UserName{Host: "h", Identity: hubwire.Identity{DeviceID: "leaf"}, APIVersion: "2020-09-30", ClientType: ".NET/1.42", AuthChain: topics.AuthChain{"leaf", "edge1", "edge2"}}},
		{"Java", "h/d/?api-version=2020-09-30&model-id=dtmi%3Aa%3Ab%3B1&DeviceClientType=com.microsoft.azure.sdk.iot%2F2.1%20x",
			topics.UserName{Host: "h", Identity: device, APIVersion: "2020-09-30", ClientType: "com.microsoft.azure.sdk.iot/2.1 x", ModelID: "dtmi:a:b;1"}},
		{"Go, without a question mark", "h/d/api-version=2020-09-30&model-id=dtmi%3Aa%3Ab%3B1",
			topics.UserName{Host: "h", Identity: device, APIVersion: "2020-09-30", ModelID: "dtmi:a:b;1"}},
		{"the documents", "h.azure-devices.net/d/?api-version=2021-04-12",
			topics.UserName{Host: "h.azure-devices.net", Identity: device, APIVersion: "2021-04-12"}},
		{"a preview", "h/d/m/?api-version=2019-07-01-preview", topics.UserName{Host: "h", Identity: module, APIVersion: "2019-07-01-preview"}},
		{"a version nobody knows", "h/d/?api-version=x", topics.UserName{Host: "h", Identity: device, APIVersion: "x"}},
		{"the replacement character is one like any other", "h/\ufffd/?api-version=1", topics.UserName{Host: "h", Identity: hubwire.Identity{DeviceID: "\ufffd"}, APIVersion: "1"}},
		{"any order", "127.0.0.1/d/?x=y&model-id=M&auth-chain=d&DeviceClientType=T&api-version=1&z",
			topics.UserName{Host: "127.0.0.1", Identity: device, APIVersion: "1", ClientType: "T", ModelID: "M", AuthChain: topics.AuthChain{"d"}}},
		{"trailing and doubled ampersands", "h/d/?&api-version=1&&DeviceClientType=T&", topics.UserName{Host: "h", Identity: device, APIVersion: "1", ClientType: "T"}},
		{"duplicates: the first counts", "h/d/?api-version=1&DeviceClientType=A&api-version=2&DeviceClientType=B&model-id=M&model-id=N&auth-chain=d&auth-chain=e",
			topics.UserName{Host: "h", Identity: device, APIVersion: "1", ClientType: "A", ModelID: "M", AuthChain: topics.AuthChain{"d"}}},
		{"a duplicate of an empty one", "h/d/?api-version=1&DeviceClientType=&DeviceClientType=B", topics.UserName{Host: "h", Identity: device, APIVersion: "1"}},
		{"blanks around the parts", " h / d / m /?api-version=1", topics.UserName{Host: "h", Identity: module, APIVersion: "1"}},
		{"question marks in ids", "h/d?x/?m?/?api-version=1",
			topics.UserName{Host: "h", Identity: hubwire.Identity{DeviceID: "d?x", ModuleID: "?m?"}, APIVersion: "1"}},
		{"a question mark in a device id, and no other", "h/d?api-version=x/api-version=1",
			topics.UserName{Host: "h", Identity: hubwire.Identity{DeviceID: "d?api-version=x"}, APIVersion: "1"}},
		{"all that an id may hold", "h/-:.+%_#*?!(),=@;$'/?api-version=1",
			topics.UserName{Host: "h", Identity: hubwire.Identity{DeviceID: "-:.+%_#*?!(),=@;$'"}, APIVersion: "1"}},
		{"a malformed escape stays", "h/d/?api-version=1&DeviceClientType=100%zz%4", topics.UserName{Host: "h", Identity: device, APIVersion: "1", ClientType: "100%zz%4"}},
		{"a plus sign stays", "h/d/?api-version=1&DeviceClientType=a+b", topics.UserName{Host: "h", Identity: device, APIVersion: "1", ClientType: "a+b"}},
		{"the old form with six segments", "h/d/m/api-version=2017-06-30/DeviceClientType=Microsoft.Azure.Devices.Client/1.5.1-preview-003",
			topics.UserName{Host: "h", Identity: module, APIVersion: "2017-06-30", ClientType: "Microsoft.Azure.Devices.Client/1.5.1-preview-003"}},
		{"a module behind gateways", "h/d/m/?api-version=1&auth-chain=d%2Fm%3B%3Bedge%3B",
			topics.UserName{Host: "h", Identity: module, APIVersion: "1", AuthChain: topics.AuthChain{"d/m", "edge"}}},
		{"an empty chain", "h/d/?api-version=1&auth-chain=%3B", topics.UserName{Host: "h", Identity: device, APIVersion: "1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, opts := range []*topics.UserNameOptions{nil, {}} {
				got, err := topics.ParseUserName(c.in, opts)
				if err != nil {
					t.Fatal(err)
				}
				sameDiff(t, c.in, got, c.want)
			}
			again, err := topics.ParseUserName(string(topics.AppendUserName(nil, &c.want)), nil)
			if err != nil {
				t.Fatal(err)
			}
			sameDiff(t, "our own", again, c.want)
		})
	}
}

func TestParseUserNameRefuses(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     topics.SyntaxError
	}{
		{"nothing", "", topics.SyntaxError{Part: "user name", Err: topics.ErrTruncated}},
		{"a host", "host", topics.SyntaxError{Part: "user name", Offset: 4, Err: topics.ErrTruncated}},
		{"no parameters", "h/d", topics.SyntaxError{Part: "api-version", Offset: 2, Err: topics.ErrMissing}},
		{"no version", "h/d/?DeviceClientType=x", topics.SyntaxError{Part: "api-version", Offset: 5, Err: topics.ErrMissing}},
		{"an empty version", "h/d/?api-version=", topics.SyntaxError{Part: "api-version", Offset: 5, Err: topics.ErrMissing}},
		{"a blank version", "h/d/?api-version=%20%09", topics.SyntaxError{Part: "api-version", Offset: 5, Err: topics.ErrMissing}},
		{"a version without a value", "h/d/?api-version", topics.SyntaxError{Part: "api-version", Offset: 5, Err: topics.ErrMissing}},
		{"a version in capitals", "h/d/?Api-Version=1", topics.SyntaxError{Part: "api-version", Offset: 5, Err: topics.ErrMissing}},
		{"no slash before the question mark", "h/d?api-version=1", topics.SyntaxError{Part: "device id", Offset: 1, Err: topics.ErrEmpty}},
		{"no slash before an ampersand", "h/d?&api-version=1&DeviceClientType=x", topics.SyntaxError{Part: "device id", Offset: 1, Err: topics.ErrEmpty}},
		{"no host", "/d/?api-version=1", topics.SyntaxError{Part: "host", Err: topics.ErrEmpty}},
		{"no device id", "h//?api-version=1", topics.SyntaxError{Part: "device id", Offset: 2, Err: topics.ErrEmpty}},
		{"a blank device id", "h/ /?api-version=1", topics.SyntaxError{Part: "device id", Offset: 2, Err: topics.ErrEmpty}},
		{"no module id", "h/d//?api-version=1", topics.SyntaxError{Part: "module id", Offset: 4, Err: topics.ErrEmpty}},
		{"a segment too many", "h/d/m/x/?api-version=1", topics.SyntaxError{Part: "user name", Offset: 5, Err: topics.ErrSegment}},
		{"a raw slash in a parameter", "h/d/?api-version=1&DeviceClientType=a/b", topics.SyntaxError{Part: "api-version", Offset: 38, Err: topics.ErrMissing}},
		{"the old form with another version", "h/d/m/api-version=2017-06-30/DeviceClientType=Microsoft.Azure.Devices.Client/1.5.2",
			topics.SyntaxError{Part: "api-version", Offset: 77, Err: topics.ErrMissing}},
		{"a chain of another", "h/d/?api-version=1&auth-chain=other%3Bedge", topics.SyntaxError{Part: "auth-chain", Offset: 5, Err: topics.ErrAuthChain}},
		{"a module's chain that begins with its device", "h/d/m/?api-version=1&auth-chain=d%3Bedge", topics.SyntaxError{Part: "auth-chain", Offset: 7, Err: topics.ErrAuthChain}},
		{"NUL", "h/d\x00/?api-version=1", topics.SyntaxError{Part: "user name", Offset: 3, Err: topics.ErrNUL}},
		{"not UTF-8", "h/d\xff/?api-version=1", topics.SyntaxError{Part: "user name", Offset: 3, Err: topics.ErrUTF8}},
		{"an overlong slash", "h\xc0\xafd/?api-version=1", topics.SyntaxError{Part: "user name", Offset: 1, Err: topics.ErrUTF8}},
		{"65,536 bytes", "h/d/?api-version=" + strings.Repeat("1", 65536-17), topics.SyntaxError{Part: "user name", Offset: 65535, Limit: 65535, Err: topics.ErrTooLong}},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, err := topics.ParseUserName(c.in, nil)
			checkSyntaxError(t, c.in, err)
			var se *topics.SyntaxError
			errors.As(err, &se)
			if diff := cmp.Diff(c.want, *se, cmp.Comparer(func(a, b error) bool { return a == b })); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			sameDiff(t, "beside the error", u, topics.UserName{})
		})
	}
}

func TestParseUserNameLeniently(t *testing.T) {
	for in, want := range map[string]topics.UserName{
		"h/d":                            {Host: "h", Identity: device},
		"h/d/m":                          {Host: "h", Identity: module},
		"h/d/?":                          {Host: "h", Identity: device},
		"h/d/?DeviceClientType=x":        {Host: "h", Identity: device, ClientType: "x"},
		"h/d/?api-version=1":             {Host: "h", Identity: device, APIVersion: "1"},
		"h/d/?DeviceClientType=a/b/1":    {Host: "h", Identity: device, ClientType: "a/b/1"},
		"h/d/m/?api-version=1&model-id=": {Host: "h", Identity: module, APIVersion: "1"},
		"h/d/api-version=1":              {Host: "h", Identity: device, APIVersion: "1"},
	} {
		got, err := topics.ParseUserName(in, &topics.UserNameOptions{Lenient: true})
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		sameDiff(t, in, got, want)
	}
	for _, in := range []string{"", "h", "h/", "/d", "h//m", "h/d/", "h/d/m/x", "h/d/?auth-chain=x"} {
		_, err := topics.ParseUserName(in, &topics.UserNameOptions{Lenient: true})
		checkSyntaxError(t, in, err)
	}
}

func TestAuthChain(t *testing.T) {
	for want, c := range map[string]topics.AuthChain{"": nil, "e": {"d", "e"}, "f": {"d", "e", "f"}} {
		if c.Actor() != want {
			t.Errorf("%v: the actor is %q, want %q", c, c.Actor(), want)
		}
	}
	if alone := (topics.AuthChain{"d"}); alone.Actor() != "" || alone.String() != "d" {
		t.Errorf("%v has the actor %q", alone, alone.Actor())
	}
}

func TestClientID(t *testing.T) {
	for in, want := range map[string]hubwire.Identity{
		"d": device, "d/m": module, "a b$": {DeviceID: "a b$"}, "d/m/x": {DeviceID: "d", ModuleID: "m/x"},
	} {
		got, err := topics.ParseClientID(in)
		if err != nil || got != want {
			t.Errorf("%q is of %v, %v, want %v", in, got, err, want)
		}
		same(t, "client id", string(topics.AppendClientID([]byte("x"), want)), "x"+in)
	}
	for _, in := range []string{"", "/", "/m", "d/", "d\x00", "d\xff/m", strings.Repeat("d", 65536)} {
		id, err := topics.ParseClientID(in)
		checkSyntaxError(t, in, err)
		if id != (hubwire.Identity{}) {
			t.Errorf("%.10q gave %v beside the error", in, id)
		}
	}
}
