package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/internal/testkit"
)

func TestServiceMistakesGiveOneClearLine(t *testing.T) {
	localHub(t)
	missing := filepath.Join(t.TempDir(), "missing")
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"no id", []string{"device", "get"}, "hubwire service device get takes DEVICE, and there are 0 arguments"},
		{"two ids", []string{"device", "get", "a", "b"}, "hubwire service device get takes DEVICE, and there are 2 arguments"},
		{"an id that is not legal", []string{"device", "create", "a b"}, "hubwire: device put: 400004 ArgumentInvalid, not sent: device id has the byte ' '"},
		{"a module of a device that is not there", []string{"module", "create", "x", "m"}, "hubwire: module put: 404001 DeviceNotFound, refused"},
		{"an unknown way to log in", []string{"device", "create", "x", "--auth", "password"}, `--auth "password" is none of sas, thumbprint, ca, none`},
		{"a certificate without a thumbprint", []string{"device", "create", "x", "--auth", "thumbprint"}, "--auth thumbprint needs --thumbprint"},
		{"a thumbprint without a certificate", []string{"device", "create", "x", "--thumbprint", "00"}, "--thumbprint needs --auth thumbprint"},
		{"an unknown status", []string{"device", "create", "x", "--status", "on"}, `--status "on" is neither enabled nor disabled`},
		{"an unknown key", []string{"device", "keys", "x", "--which", "third"}, `--which "third" is none of primary, secondary, both`},
		{"a bulk file that is not there", []string{"device", "bulk", missing}, "open " + missing},
		{"no desired properties", []string{"twin", "patch", "x"}, "what is to be written? Say --desired, --tags or both"},
		{"desired properties that are no object", []string{"twin", "patch", "x", "--desired", "null"}, "--desired is not a JSON object"},
		{"a negative page", []string{"query", "SELECT * FROM devices", "--page-size", "-1"}, "--page-size is -1"},
		{"a payload that is not JSON", []string{"method", "x", "m", "{"}, "PAYLOAD is not JSON"},
		{"a component without a command", []string{"method", "x", "m", "--component", "c"}, "--component needs --command"},
		{"a command of a module", []string{"method", "x", "m", "--command", "--module-id", "m"}, "--module-id and --command exclude each other"},
		{"a time-out that is too long", []string{"method", "x", "m", "--connect-timeout", "1h"}, "hubwire: method: 400004 ArgumentInvalid, not sent"},
		{"a job without a condition", []string{"job", "twin", "j", "--desired", "{}"}, `required flag(s) "condition" not set`},
		{"a start that is none", []string{"job", "twin", "j", "--desired", "{}", "--condition", "*", "--start", "noon"}, `--start "noon" is neither a time`},
		{"a job that gives up at once", []string{"job", "twin", "j", "--desired", "{}", "--condition", "*", "--max-time", "1ms"}, "--max-time is 1ms, the least is 1s"},
		{"an unknown type of job", []string{"job", "list", "--type", "x"}, `--type "x" is neither twin nor method`},
		{"waiting without a pause", []string{"job", "wait", "j", "--every", "0s"}, "--every is 0s"},
		{"a content that is none", []string{"configuration", "create", "c", "--content", "{}"}, "hubwire: "},
		{"a metric without a query", []string{"configuration", "test", "--metric", "x"}, `--metric "x" is not NAME=VALUE`},
		{"no time", []string{"device", "list", "--timeout", "0s"}, "--timeout is 0s"},
		{"an env file that is not there", []string{"device", "list", "--env-file", missing}, "--env-file " + missing + ": file does not exist"},
		{"a device's connection string", []string{"device", "list", "--connection-string", deviceCS}, "--connection-string: hubwire: connection string: 400004"},
		{"a connection string that is none", []string{"device", "list", "--connection-string", "x"}, "--connection-string: sas: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := command(t, "", append([]string{"service"}, tt.args...)...)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(oneLine(err), "\n") {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if out != "" {
				t.Errorf("it printed %q", out)
			}
		})
	}
}

func TestServiceBulkRefusesWhatIsNoDevice(t *testing.T) {
	localHub(t)
	for in, want := range map[string]string{
		"":                    "there is no device to do something with",
		"[]":                  "there is no device to do something with",
		"x":                   "element 1 is not a device: ",
		`{"id":"a"} {"id":1}`: "element 2 is not a device: ",
		"[1]":                 "the array is not one of devices: ",
	} {
		if _, err := command(t, in, "service", "device", "bulk", "-"); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
}

func TestServiceWithoutAHub(t *testing.T) {
	t.Setenv("HUBWIRE_CONNECTION_STRING", "")
	if _, err := command(t, "", "service", "device", "list"); err == nil || !strings.HasPrefix(err.Error(), "which hub? Say --connection-string") {
		t.Errorf("it ended with %v", err)
	}
}

// TestCommandsReadTheEnvFile has the variables of another hub in the environment.
func TestCommandsReadTheEnvFile(t *testing.T) {
	testkit.LeakCheck(t)
	h := hubtest.Start(t, nil)
	caFile := filepath.Join(t.TempDir(), "it's ca.pem")
	if err := os.WriteFile(caFile, h.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := placeOf(h, caFile)
	if err != nil {
		t.Fatal(err)
	}
	env := filepath.Join(t.TempDir(), "hub.env")
	if err := writeEnvFile(env, p); err != nil {
		t.Fatal(err)
	}
	for _, v := range p.vars() {
		t.Setenv(v.name, "HostName=nowhere.example;SharedAccessKeyName=p;SharedAccessKey=AAAA")
	}
	serve(t, "device", "create", "dev-1", "--env-file", env)
	if _, err := command(t, "", "device", "send", "--device-id", "dev-1", "--env-file", env, "hello"); err != nil {
		t.Error(err)
	}
	if d, err := h.Device(dev); err != nil || d.LastActivity.IsZero() {
		t.Errorf("the device is %+v, %v", d, err)
	}
}

func TestCtrlCEndsAServiceCall(t *testing.T) {
	localHub(t)
	serve(t, "job", "twin", "j", "--condition", "*", "--desired", "{}", "--start", "1h")
	j := start(t, "", "service", "job", "wait", "j", "--trace")
	if !j.stderr.await(j.done, "GET /jobs/v2/j: 200") {
		t.Fatalf("it ended with %v", j.err)
	}
	if err := j.interrupt(); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}

func TestServiceSaysWhatThePolicyMayNot(t *testing.T) {
	h := localHub(t)
	reader, err := h.PolicyConnectionString("registryRead")
	if err != nil {
		t.Fatal(err)
	}
	_, err = command(t, reader, "service", "device", "create", "x", "--connection-string", "-")
	if err == nil || !strings.Contains(err.Error(), "Unauthorized") {
		t.Errorf("it ended with %v", err)
	}
	if n := len(h.Devices(10)); n != 0 {
		t.Errorf("%d devices are registered", n)
	}
}
