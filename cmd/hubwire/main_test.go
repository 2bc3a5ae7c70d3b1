package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/hubwire/hubwire/hub/hubtest"
)

func TestOutputThatIsLostIsAnError(t *testing.T) {
	for _, args := range [][]string{
		{"sas", "make", "--connection-string", deviceCS},
		{"demo", "--only", "twin get"},
		{"demo", "--json", "--only", "twin get"},
		{"hub", "--mqtt-port", "0", "--amqp-port", "0", "--https-port", "0"},
		{"sas", "--help"},
	} {
		t.Run(strings.Join(args[:2], " "), func(t *testing.T) {
			full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			if errors.Is(err, fs.ErrNotExist) {
				t.Skip("this system has no /dev/full")
			}
			if err != nil {
				t.Fatal(err)
			}
			defer full.Close()
			var stderr strings.Builder
			c := program(t, args...)
			c.Stdout, c.Stderr = full, &stderr
			if err := c.Run(); c.ProcessState.ExitCode() != 1 {
				t.Errorf("it ended with %v, want exit code 1", err)
			}
			const want = "hubwire: the output is lost: write /dev/stdout: no space left on device\n"
			if stderr.String() != want {
				t.Errorf("it said %q, want %q", stderr.String(), want)
			}
		})
	}
}

func TestWhatIsInterruptedSaysSo(t *testing.T) {
	h := localHub(t)
	cs := hubtest.Device(t, h, "dev-1")
	tests := []struct {
		name  string
		args  []string
		ready string
		want  string
	}{
		{"device send", []string{"device", "send", "x", "--connection-string", cs, "--count", "2", "--interval", "1h"}, "sent 1 of 2", "hubwire: 1 of 2 were acknowledged: interrupted\n"},
		{"demo", []string{"demo"}, "telemetry, plain", "hubwire: the demo was broken off: interrupted\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stdout, stderr := newBuffer(), newBuffer()
			c := program(t, tt.args...)
			c.Stdout, c.Stderr = stdout, stderr
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			var err error
			ended := make(chan struct{})
			go func() { defer close(ended); err = c.Wait() }()
			if !stdout.await(ended, tt.ready) {
				t.Fatalf("it ended with %v: %s", err, stderr)
			}
			if err := c.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if <-ended; c.ProcessState.ExitCode() != exitInterrupted {
				t.Errorf("it ended with %v, want exit code %d", err, exitInterrupted)
			}
			if !strings.HasSuffix(stderr.String(), tt.want) {
				t.Errorf("it said %q, want %q", stderr, tt.want)
			}
		})
	}
}

func TestOneLineHasNoPrefixTwice(t *testing.T) {
	inner := errors.New("hubwire: create identity: no")
	err := errors.Join(fmt.Errorf("--device a: %w", inner), inner)
	if got, want := oneLine(err), "--device a: create identity: no; create identity: no"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestOneIsNotMany(t *testing.T) {
	for n, want := range map[int]string{0: "0 bytes", 1: "1 byte", 2: "2 bytes"} {
		if got := plural(n, "byte"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
