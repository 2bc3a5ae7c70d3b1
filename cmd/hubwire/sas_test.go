package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

const (
	testKey   = "aqmHxAEAfS2s3KseHjJFbpOZg0CLxh9GnP/r9qdkDUQ="
	otherKey  = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lE="
	deviceCS  = "HostName=myhub.azure-devices.net;DeviceId=dev-1;SharedAccessKey=" + testKey
	moduleCS  = "HostName=myhub.azure-devices.net;DeviceId=dev-1;ModuleId=m;SharedAccessKey=" + testKey
	serviceCS = "HostName=myhub.azure-devices.net;SharedAccessKeyName=service;SharedAccessKey=" + testKey
	eventsCS  = "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=p;SharedAccessKey=" + testKey + ";EntityPath=hub"
)

func TestWhatMakeMakesParseReads(t *testing.T) {
	testkit.LeakCheck(t)
	t.Setenv("SOME_CS", serviceCS)
	tests := []struct {
		name     string
		stdin    string
		args     []string
		resource string
		policy   string
	}{
		{"a device's connection string", "", []string{"--connection-string", deviceCS}, "myhub.azure-devices.net/devices/dev-1", "none: "},
		{"a module's connection string", "", []string{"--connection-string", moduleCS}, "myhub.azure-devices.net/devices/dev-1/modules/m", "none: "},
		{"a service's connection string from the environment", "", []string{"--connection-string", "env:SOME_CS"}, "myhub.azure-devices.net", "service"},
		{"a service's connection string for a device", "", []string{"--connection-string", serviceCS, "--resource", "myhub.azure-devices.net/devices/d"}, "myhub.azure-devices.net/devices/d", "service"},
		{"a connection string from stdin", deviceCS + "\n", []string{"--connection-string", "-"}, "myhub.azure-devices.net/devices/dev-1", "none: "},
		{"a key and a policy", "", []string{"--key", testKey, "--resource", "h", "--policy", "device"}, "h", "device"},
		{"a key from stdin", testKey, []string{"--key", "-", "--resource", "h/devices/a b"}, "h/devices/a b", "none: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token, err := command(t, tt.stdin, append([]string{"sas", "make", "--ttl", "10m30s"}, tt.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			out, err := command(t, token, "sas", "parse", "--key", testKey, "--resource", tt.resource)
			if err != nil {
				t.Errorf("parse: %v", err)
			}
			for _, want := range []string{
				"resource  " + tt.resource + "\n", "policy    " + tt.policy,
				"(in 10m", "signature of this key\n",
			} {
				if !strings.Contains(out, want) {
					t.Errorf("parse did not print %q but\n%s", want, out)
				}
			}
		})
	}
}

func TestAnEventHubsKeyIsTakenAsText(t *testing.T) {
	out, err := command(t, "", "sas", "make", "--connection-string", eventsCS)
	if err != nil {
		t.Fatal(err)
	}
	token, err := sas.ParseToken(strings.TrimSpace(out))
	if err != nil {
		t.Fatal(err)
	}
	key, err := sas.NewTextKey(sas.NewSecret(testKey))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := token.SignedBy(key, nil); err != nil {
		t.Error(err)
	}
	if got, want := string(sas.AppendUnescape(nil, token.Resource)), "sb://ns.servicebus.windows.net/hub"; got != want {
		t.Errorf("resource %q, want %q", got, want)
	}
}

func TestAnEventHubsTokenIsMadeAndCheckedWithItsKey(t *testing.T) {
	const resource = "sb://ns.servicebus.windows.net/hub"
	for name, args := range map[string][]string{
		"by a connection string": {"--connection-string", eventsCS},
		"by the key":             {"--key", testKey, "--text-key", "--resource", resource, "--policy", "p"},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := command(t, "", append([]string{"sas", "make"}, args...)...)
			if err != nil {
				t.Fatal(err)
			}
			out, err := command(t, token, "sas", "parse", "--key", testKey, "--text-key")
			if err != nil || !strings.Contains(out, "signature of this key\n") || !strings.Contains(out, "resource  "+resource+"\n") {
				t.Errorf("%v\n%s", err, out)
			}
			if _, err := command(t, token, "sas", "parse", "--key", testKey); !errors.Is(err, sas.ErrSignature) {
				t.Errorf("with the key as base64: %v", err)
			}
		})
	}
}

func TestParseShowsAllAndSaysWhatDoesNotHold(t *testing.T) {
	// From the vector dps-group-derived-32.
	const old = "SharedAccessSignature sr=0ne00112233%2Fregistrations%2Fdevice1&sig=vrN3J5WRvl1mrv3uPZM9yX4x5QBOK66oP%2BuWxe21UCg%3D&se=1700000000&skn=registration"
	tests := []struct {
		name string
		args []string
		want []error
	}{
		{"an expired token", nil, []error{sas.ErrExpired}},
		{"an expired token with its key", []string{"--key", testKey}, []error{sas.ErrExpired}},
		{"another key", []string{"--key", otherKey}, []error{sas.ErrExpired, sas.ErrSignature}},
		{"another resource", []string{"--resource", "h/devices/dev-1"}, []error{sas.ErrExpired, sas.ErrWrongResource}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := command(t, "", append([]string{"sas", "parse", old}, tt.args...)...)
			for _, e := range []error{sas.ErrExpired, sas.ErrSignature, sas.ErrWrongResource} {
				want := false
				for _, w := range tt.want {
					want = want || w == e
				}
				if errors.Is(err, e) != want {
					t.Errorf("got %v; %v expected: %t", err, e, want)
				}
			}
			for _, want := range []string{"0ne00112233/registrations/device1", "registration", "2023-11-14T22:13:20Z", " ago)"} {
				if !strings.Contains(out, want) {
					t.Errorf("it does not show %q but\n%s", want, out)
				}
			}
			if strings.Contains(out, "vrN3J5") {
				t.Error("it shows the signature")
			}
		})
	}
}

func TestParseQuotesWhatATerminalWouldObey(t *testing.T) {
	out, err := command(t, "SharedAccessSignature sr=a%1b%5b2J&sig=AAAA&se=99999999999&skn=%0d", "sas", "parse")
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out, "\x1b\r") {
		t.Errorf("control characters came through: %q", out)
	}
}

func TestDeriveMakesTheDocumentedKey(t *testing.T) {
	// From the vector docs-sn007.
	out, err := command(t, "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==\n",
		"sas", "derive", "--key", "-", "--registration-id", "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6")
	if err != nil {
		t.Fatal(err)
	}
	if want := "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=\n"; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

func TestSASMistakesGiveOneLineWithoutTheSecret(t *testing.T) {
	const bad = "verysecret!" // not base64
	tests := []struct {
		name  string
		stdin string
		args  []string
		want  string
	}{
		{"a key that is not base64", "", []string{"make", "--key", bad, "--resource", "h"}, "sas: key is not base64"},
		{"an empty key", "", []string{"make", "--key", "", "--resource", "h"}, "sas: key is empty"},
		{"a key without a resource", "", []string{"make", "--key", testKey}, "--key needs --resource"},
		{"neither key nor connection string", "", []string{"make"}, "what is to sign? Say --connection-string, or --key with --resource"},
		{"both", "", []string{"make", "--key", testKey, "--connection-string", deviceCS}, "--connection-string and --key exclude each other"},
		{"a connection string with a text key", "", []string{"make", "--text-key", "--connection-string", deviceCS}, "--text-key needs --key: a connection string says what its key is"},
		{"a text key to check with that is not there", "", []string{"parse", "--text-key", "x"}, "--text-key needs --key"},
		{"a time that is none", "", []string{"make", "--connection-string", deviceCS, "--ttl", bad}, "--ttl takes a time, such as 500ms, 10s or 1h30m; see hubwire sas make --help"},
		{"a connection string that is none", "", []string{"make", "--connection-string", bad}, "sas: connection string at offset 0"},
		{"a connection string with a certificate", "", []string{"make", "--connection-string", "HostName=h;DeviceId=d;x509=true"}, "the connection string is for a device without a key"},
		{"no time to live", "", []string{"make", "--connection-string", deviceCS, "--ttl", "0s"}, "--ttl is 0s"},
		{"an empty variable", "", []string{"make", "--connection-string", "env:HUBWIRE_TEST_NO_SUCH"}, "--connection-string: the environment variable HUBWIRE_TEST_NO_SUCH is empty"},
		{"an empty stdin", "", []string{"make", "--connection-string", "-"}, "--connection-string: stdin is empty"},
		{"an endless stdin", strings.Repeat("x", 1<<20), []string{"make", "--connection-string", "-"}, "--connection-string: stdin has more than 65536 bytes"},
		{"a secret as an argument", "", []string{"make", bad}, "hubwire sas make takes no arguments"},
		{"a secret as a command", "", []string{bad}, "hubwire sas has no such command"},
		{"a secret as flags", "", []string{"make", "-" + bad}, "hubwire sas make has no flag -v"},
		{"a token that is none", "", []string{"parse", bad}, "sas: token at offset 0"},
		{"a token and a key from stdin", bad, []string{"parse", "--key", "-"}, "the token and --key cannot both come from stdin"},
		{"an empty key to check with", "", []string{"parse", "SharedAccessSignature sr=a&sig=AAAA&se=99999999999", "--key", ""}, "sas: key is empty"},
		{"no registration id", "", []string{"derive", "--key", testKey, "--registration-id", ""}, "--registration-id is empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := command(t, tt.stdin, append([]string{"sas"}, tt.args...)...)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Fatalf("got  %v\nwant %s", err, tt.want)
			}
			for _, secret := range []string{bad, testKey} {
				if strings.Contains(err.Error()+out, secret) {
					t.Errorf("the secret shows: %v\n%s", err, out)
				}
			}
		})
	}
}
