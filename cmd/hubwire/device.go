package main

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/sas"
)

// deviceFlags are the flags that all commands of hubwire device have.
type deviceFlags struct {
	connectionString   string
	deviceID, moduleID string
	transport          string
	pollInterval       time.Duration
	envFile, caFile    string
	certFile, keyFile  string
	connectTimeout     time.Duration
	trace              bool
}

func newDevice() *cobra.Command {
	f := new(deviceFlags)
	c := group(&cobra.Command{
		Use:   "device",
		Short: "Be a device: send, receive, twin, methods, upload; probe which protocols reach the hub",
		Long: `Be a device or a module of a hub: the one that --connection-string says, or
--device-id on the hub whose connection string is in HUBWIRE_CONNECTION_STRING, where
it is registered when it is missing.

A hub that hubwire hub runs is found by the variables of its env file:
  hubwire hub --mqtt-port 0 --amqp-port 0 --https-port 0 --env-file hub.env &
  set -a; . ./hub.env; set +a
  hubwire device send --device-id dev-1 '{"temperature":21}'

What the connection does is told on stderr.`,
	}, newDeviceSend(f), newDeviceReceive(f), newDeviceTwin(f), newDeviceMethods(f), newDeviceUpload(f), newDeviceProbe(f), newDeviceMatrix())
	fs := c.PersistentFlags()
	fs.StringVar(&f.connectionString, "connection-string", "", "the device's or module's connection string"+secretUsage)
	fs.StringVar(&f.deviceID, "device-id", "", "in its place: a device of the hub of HUBWIRE_CONNECTION_STRING")
	fs.StringVar(&f.moduleID, "module-id", "", "with --device-id: a module of that device")
	fs.StringVar(&f.transport, "transport", protocols[0].name, "the protocol: "+protocolNames(protocols)+", or "+automatic+" for the first of them that has what the command needs and reaches the hub")
	fs.DurationVar(&f.pollInterval, "poll-interval", 0, "over https: how long to wait after there was no message, before asking again; 0 means 25m, and IoT Hub throttles who asks more often than that")
	fs.StringVar(&f.envFile, "env-file", "", envFileUsage)
	fs.StringVar(&f.caFile, "ca-file", "", "PEM file of an authority to trust beside the system's (default HUBWIRE_CA_FILE, for that hub)")
	fs.StringVar(&f.certFile, "cert", "", "PEM file of the device's certificate, for a connection string with x509=true")
	fs.StringVar(&f.keyFile, "cert-key", "", "PEM file of the certificate's private key")
	fs.DurationVar(&f.connectTimeout, "connect-timeout", 30*time.Second, "how long to try to connect at first; 0 means until interrupted")
	fs.BoolVar(&f.trace, "trace", false, "show each packet on stderr, in hex, without the secrets in it")
	return c
}

// dial connects the device that the flags name, for a command that needs such features.
func (f *deviceFlags) dial(c *cobra.Command, needs ...device.Feature) (*device.Client, error) {
	transport, err := transportOf(f.transport, transportOptions{https: device.HTTPSOptions{PollInterval: max(0, f.pollInterval)}}, needs)
	if err != nil {
		return nil, err
	}
	if f.pollInterval < 0 {
		return nil, fmt.Errorf("--poll-interval is %v, the least is 0", f.pollInterval)
	}
	if f.connectTimeout < 0 {
		return nil, fmt.Errorf("--connect-timeout is %v, the least is 0", f.connectTimeout)
	}
	ctx := c.Context()
	if f.connectTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, f.connectTimeout, fmt.Errorf("no connection within %v", f.connectTimeout))
		defer cancel()
	}
	local, err := findPlace(f.envFile)
	if err != nil {
		return nil, err
	}
	cred, err := f.credentials(ctx, c, local)
	if err != nil {
		return nil, err
	}
	way, err := reachHub(local, cred.HostName, f.caFile)
	if err != nil {
		return nil, err
	}
	client, err := device.DialCredentials(ctx, cred, transport, &device.Options{
		Dial: way.dial, TLSConfig: way.tls, ProductInfo: "cli", Hooks: f.hooks(c.ErrOrStderr()),
	})
	if err == nil && f.transport == automatic {
		tellChoice(c.ErrOrStderr(), client.Choice())
	}
	return client, err
}

// tellChoice tells w what was chosen, and what is lost by that.
func tellChoice(w io.Writer, made device.Choice) {
	fmt.Fprintf(w, "chosen: %v", made.Transport)
	for i, l := range made.Lost {
		text := ", "
		if i == 0 {
			text = "; lost by it: "
		}
		fmt.Fprint(w, text, l.Feature)
	}
	fmt.Fprintln(w)
}

func (f *deviceFlags) credentials(ctx context.Context, c *cobra.Command, local *place) (device.Credentials, error) {
	s, err := f.findConnectionString(ctx, c, local)
	if err != nil {
		return device.Credentials{}, err
	}
	cred, err := device.CredentialsFromConnectionString(s)
	if err != nil {
		return cred, err
	}
	if cred.Tokens != nil {
		if f.certFile != "" || f.keyFile != "" {
			err = errors.New("--cert and --cert-key are for a device that authenticates by a certificate: this one has a key")
		}
		return cred, err
	}
	if f.certFile == "" || f.keyFile == "" {
		return cred, errors.New("the device authenticates by a certificate: that needs --cert and --cert-key")
	}
	// Read anew for each connection: a file that was replaced is a certificate that was rotated.
	cred.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		cert, err := tls.LoadX509KeyPair(f.certFile, f.keyFile)
		return &cert, err
	}
	_, err = cred.GetClientCertificate(nil)
	return cred, err
}

func (f *deviceFlags) findConnectionString(ctx context.Context, c *cobra.Command, local *place) (string, error) {
	switch {
	case f.connectionString != "" && f.deviceID != "":
		return "", errors.New("--connection-string and --device-id exclude each other")
	case f.moduleID != "" && f.deviceID == "":
		return "", errors.New("--module-id needs --device-id")
	case f.connectionString != "":
		s, err := readSecret(c, "--connection-string", f.connectionString)
		return s.Reveal(), err
	case f.deviceID == "":
		return "", errors.New("who is the device? Say --connection-string, or --device-id with HUBWIRE_CONNECTION_STRING set")
	case local.owner == "":
		return "", errors.New("--device-id needs HUBWIRE_CONNECTION_STRING, a connection string that may write the registry")
	}
	owner, err := sas.ParseConnectionString(local.owner)
	if err != nil {
		return "", fmt.Errorf("HUBWIRE_CONNECTION_STRING: %w", err)
	}
	way, err := reachHub(local, owner.HostName, f.caFile)
	if err != nil {
		return "", err
	}
	admin, err := way.service(local.owner)
	if err != nil {
		return "", fmt.Errorf("HUBWIRE_CONNECTION_STRING: %w", err)
	}
	defer admin.Close()
	return ensure(ctx, admin, hubwire.Identity{DeviceID: f.deviceID, ModuleID: f.moduleID})
}

// hooks tell w what the connection does.
func (f *deviceFlags) hooks(w io.Writer) *device.Hooks {
	h := &device.Hooks{
		State: func(s device.State, reason error) {
			if reason == nil {
				fmt.Fprintln(w, s)
				return
			}
			fmt.Fprintf(w, "%v: %s\n", s, oneLine(reason))
		},
		HandlerPanic: func(v any, stack []byte) { fmt.Fprintf(w, "panic: %v\n%s\n", v, stack) },
	}
	if f.trace {
		h.Packet = func(sent bool, b []byte) {
			direction := "<"
			if sent {
				direction = ">"
			}
			fmt.Fprintln(w, direction, hex.EncodeToString(b))
		}
	}
	return h
}

// closing closes c and adds what came of it to err.
func closing(c *device.Client, err *error) { *err = errors.Join(*err, c.Close()) }

// untilInterrupted makes the end of ctx the natural end of a command that has no other.
func untilInterrupted(ctx context.Context, endless bool, err error) error {
	if endless && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
