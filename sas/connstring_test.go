package sas_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

func ExampleParseConnectionString() {
	c, err := sas.ParseConnectionString("HostName=myhub.azure-devices.net;DeviceId=dev-0001;SharedAccessKey=c2VjcmV0")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Kind, c.Identity(), c.SharedAccessKey)
	// Output: device dev-0001 (secret)
}

func ExampleConnectionString_AppendTo() {
	c := sas.ConnectionString{HostName: "myhub.azure-devices.net", DeviceID: "dev-0001", X509: true}
	fmt.Printf("%s\n", c.AppendTo(nil))
	// Output: HostName=myhub.azure-devices.net;DeviceId=dev-0001;x509=true
}

func TestConnectionStringsThatParse(t *testing.T) {
	const dev = "HostName=h;DeviceId=d;SharedAccessKey="
	device := func(key string) *sas.ConnectionString {
		return &sas.ConnectionString{Kind: sas.KindDevice, HostName: "h", DeviceID: "d", SharedAccessKey: sas.NewSecret(key)}
	}
	x509 := &sas.ConnectionString{Kind: sas.KindDevice, HostName: "h", DeviceID: "d", X509: true}
	tests := []struct {
		name, in string
		want     *sas.ConnectionString
	}{
		{"a semicolon in a value", dev + "a;b", device("a;b")},
		{"semicolons and then a name", dev + "a;;;Foo=x", device("a")},
		{"semicolons within a value", dev + "a;;b;c;Foo=x", device("a;;b;c")},
		{"equals signs in a value", dev + "a==;Foo=x", device("a==")},
		{"an equals sign right after a semicolon, which is a pair without a name", dev + "a;=b", device("a")},
		{"semicolons at the end", dev + "a;;;", device("a")},
		{"white space and semicolons around", " \r\n\t;;" + dev + "a;; \r\n", device("a")},
		{"a blank at the end of a value that is not the last", "DeviceId=d ;HostName=h;SharedAccessKey=a", &sas.ConnectionString{
			Kind: sas.KindDevice, HostName: "h", DeviceID: "d ", SharedAccessKey: sas.NewSecret("a"),
		}},
		{"a blank in a name, which makes it another", dev + "a;DeviceId =e", device("a")},
		{"names of any case", "HOSTNAME=h;deviceid=d;sHAREDaCCESSkEY=a", device("a")},
		{"an unknown name twice apart from what it begins with", dev + "a;Foo=1;Foo2=2", device("a")},
		{"an empty value, which is none", dev + "a;ModuleId=;GatewayHostName=;x509=", device("a")},
		{"escapes, which are not decoded", "HostName=h;DeviceId=a%3Bb+c;SharedAccessKey=a", &sas.ConnectionString{
			Kind: sas.KindDevice, HostName: "h", DeviceID: "a%3Bb+c", SharedAccessKey: sas.NewSecret("a"),
		}},
		{"x509 in any case", "HostName=h;DeviceId=d;X509=TrUe", x509},
		{"X509Cert for x509", "HostName=h;DeviceId=d;x509cert=true;x509=false", x509},
		{"a key and x509=false", dev + "a;x509=false;UseProvisioning=no", device("a")},
		{"DPS", "HostName=h;DeviceId=d;UseProvisioning=True", &sas.ConnectionString{
			Kind: sas.KindDevice, HostName: "h", DeviceID: "d", UseProvisioning: true,
		}},
		{"a port", "HostName=h_1-2.3:8883;DeviceId=d;SharedAccessKey=a", &sas.ConnectionString{
			Kind: sas.KindDevice, HostName: "h_1-2.3:8883", DeviceID: "d", SharedAccessKey: sas.NewSecret("a"),
		}},
		{"a token", "HostName=h;SharedAccessKeyName=p;SharedAccessSignature=SharedAccessSignature sr=h&sig=a=&se=1&skn=p", &sas.ConnectionString{
			Kind: sas.KindService, HostName: "h", SharedAccessKeyName: "p",
			SharedAccessSignature: sas.NewSecret("SharedAccessSignature sr=h&sig=a=&se=1&skn=p"),
		}},
		{"a module of a gateway", "ModuleId=m;HostName=h;DeviceId=d;GatewayHostName=::g;SharedAccessKey=a", &sas.ConnectionString{
			Kind: sas.KindModule, HostName: "h", DeviceID: "d", ModuleID: "m", GatewayHostName: "::g", SharedAccessKey: sas.NewSecret("a"),
		}},
		{"Event Hubs, with a port", "Endpoint=sb://h:5671//;EntityPath=e;SharedAccessKeyName=p;SharedAccessKey=a", &sas.ConnectionString{
			Kind: sas.KindEventHub, Endpoint: "sb://h:5671//", EndpointHost: "h:5671", EntityPath: "e",
			SharedAccessKeyName: "p", SharedAccessKey: sas.NewSecret("a"),
		}},
	}
	for _, tt := range tests {
		got, err := sas.ParseConnectionString(tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || got.SharedAccessKey.Reveal() != tt.want.SharedAccessKey.Reveal() {
			t.Errorf("%s: (-want +got)\n%s", tt.name, diff)
		}
	}
}

func TestConnectionStringsThatAreRefused(t *testing.T) {
	const dev = "HostName=h;DeviceId=d;SharedAccessKey=a"
	tests := []struct {
		name, in, part string
		offset, limit  int
		err            error
	}{
		{"nothing", "", "connection string", 0, 0, sas.ErrEmpty},
		{"nothing but white space and semicolons", " \t;;\r\n", "connection string", 4, 0, sas.ErrEmpty},
		{"no equals sign", "hello", "connection string", 0, 0, sas.ErrNotPairs},
		{"no equals sign before the first semicolon", "a;b=c", "connection string", 0, 0, sas.ErrNotPairs},
		{"a blank between semicolons", "; ;" + dev, "connection string", 1, 0, sas.ErrNotPairs},
		{"no HostName", "DeviceId=d;SharedAccessKey=a", "HostName", 28, 0, sas.ErrMissingHostName},
		{"an empty HostName", "HostName=;DeviceId=d;SharedAccessKey=a", "HostName", 9, 0, sas.ErrMissingHostName},
		{"a blank before HostName", ";; " + dev, "HostName", 42, 0, sas.ErrMissingHostName},
		{"a blank in HostName", "HostName=h h;DeviceId=d;SharedAccessKey=a", "HostName", 9, 0, sas.ErrBadHostName},
		{"a URL for a HostName", "HostName=https://h;DeviceId=d;SharedAccessKey=a", "HostName", 9, 0, sas.ErrBadHostName},
		{"an IPv6 address for a HostName", "HostName=[::1];DeviceId=d;SharedAccessKey=a", "HostName", 9, 0, sas.ErrBadHostName},
		{"a bare IPv6 address for a HostName", "HostName=fe80::1;DeviceId=d;SharedAccessKey=a", "HostName", 9, 0, sas.ErrBadHostName},
		{"a HostName outside ASCII", "HostName=hüb;DeviceId=d;SharedAccessKey=a", "HostName", 9, 0, sas.ErrBadHostName},
		{"a port without digits", "DeviceId=d;HostName=h:;SharedAccessKey=a", "HostName", 20, 0, sas.ErrBadHostName},
		{"a port of letters", "HostName=h:mqtts;DeviceId=d;SharedAccessKey=a", "HostName", 9, 0, sas.ErrBadHostName},
		{"a port without a host", "HostName=:1;DeviceId=d;SharedAccessKey=a", "HostName", 9, 0, sas.ErrBadHostName},
		{"HostName twice", dev + ";HostName=h", "HostName", 40, 0, sas.ErrDuplicateKey},
		{"HostName twice, the first one empty", "HostName=;HOSTNAME=h;DeviceId=d;SharedAccessKey=a", "HostName", 10, 0, sas.ErrDuplicateKey},
		{"an unknown name twice", dev + ";Foo=1;foo=2", "a name", 46, 0, sas.ErrDuplicateKey},
		{"no name twice", dev + ";=1;=2", "a name", 43, 0, sas.ErrDuplicateKey},
		{"neither device nor policy", "HostName=h;SharedAccessKey=a", "connection string", 0, 0, sas.ErrIncomplete},
		{"a module without its device", "HostName=h;ModuleId=m;SharedAccessKeyName=p;SharedAccessKey=a", "connection string", 0, 0, sas.ErrIncomplete},
		{"no credential", "HostName=h;DeviceId=d", "connection string", 0, 0, sas.ErrMissingCredentials},
		{"x509=yes", "HostName=h;DeviceId=d;x509=yes", "connection string", 0, 0, sas.ErrMissingCredentials},
		{"two credentials", dev + ";x509=true", "connection string", 0, 0, sas.ErrMixedCredentials},
		{"a key and DPS", dev + ";UseProvisioning=true", "connection string", 0, 0, sas.ErrMixedCredentials},
		{"another scheme", "Endpoint=amqps://h;SharedAccessKey=a", "Endpoint", 9, 0, sas.ErrEndpointScheme},
		{"another case of the scheme", "Endpoint=SB://h;SharedAccessKey=a", "Endpoint", 9, 0, sas.ErrEndpointScheme},
		{"a byte too many", dev + strings.Repeat("a", sas.MaxConnectionString+1-len(dev)), "connection string", sas.MaxConnectionString, sas.MaxConnectionString, sas.ErrTooLong},
	}
	for _, tt := range tests {
		_, err := sas.ParseConnectionString(tt.in)
		want := sas.SyntaxError{Part: tt.part, Offset: tt.offset, Limit: tt.limit, Err: tt.err}
		if got := (*sas.SyntaxError)(nil); !errors.As(err, &got) || *got != want || !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", tt.name, err, &want)
		}
	}
	if _, err := sas.ParseConnectionString(dev + strings.Repeat("a", sas.MaxConnectionString-len(dev))); err != nil {
		t.Errorf("a connection string of MaxConnectionString bytes: %v", err)
	}
}

func TestATokenWithinThatIsNoneSaysWhy(t *testing.T) {
	_, err := sas.ParseConnectionString("HostName=h;DeviceId=d;SharedAccessSignature=SharedAccessSignature sr=h&sig=hidden")
	if !errors.Is(err, sas.ErrBadSignature) || !errors.Is(err, sas.ErrMissingSE) {
		t.Errorf("%v matches not both sentinels", err)
	}
	if want := "sas: SharedAccessSignature at offset 44 is not a token: sas: se at offset 37 is missing or empty"; err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// No matter what is wrong with it: the error does not show any of what could be a key.
func TestErrorsQuoteNothing(t *testing.T) {
	const hidden = "c3VwZXIgc2VjcmV0"
	for _, in := range []string{
		hidden, hidden + ";", "HostName=" + hidden + "/", "HostName=h;DeviceId=d;SharedAccessKey=x;" + hidden + "=;" + hidden + "=",
		"HostName=h;DeviceId=d;SharedAccessSignature=" + hidden, "HostName=h;DeviceId=d;x509=true;SharedAccessKey=" + hidden,
		"HostName=h;DeviceId=d;SharedAccessSignature=SharedAccessSignature sr=h&se=1&sig=" + hidden + "&sig=" + hidden,
		"Endpoint=" + hidden, "SharedAccessKey=" + hidden, "HostName=h;SharedAccessKey=" + hidden,
	} {
		_, err := sas.ParseConnectionString(in)
		if err == nil {
			t.Errorf("%s is not refused", in)
			continue
		}
		testkit.Hides(t, in, hidden, err)
		testkit.Hides(t, in, strings.ToLower(hidden), err)
	}
}
