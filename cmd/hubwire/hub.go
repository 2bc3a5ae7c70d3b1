package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// ownerPolicy is the shared access policy that may do everything.
const ownerPolicy = "iothubowner"

// hubFlags are the flags of hubwire hub.
type hubFlags struct {
	host                          string
	mqttPort, amqpPort, httpsPort uint16
	envFile, data                 string
	devices                       []string
	consumerGroups, eventSources  []string
	verbose                       bool
}

func newHub() *cobra.Command {
	var f hubFlags
	c := &cobra.Command{
		Use:   "hub",
		Short: "Run a hub on 127.0.0.1 until interrupted",
		Long: `Run a hub on 127.0.0.1 until interrupted: MQTT, AMQP, and HTTPS with REST, file uploads and
both of them over WebSockets, always with TLS. It prints where it listens, its connection strings,
and where the certificate of its authority is, which clients have to trust.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return runHub(c.Context(), &f, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	fs := c.Flags()
	fs.StringVar(&f.host, "host", "localhost", "the hub's name in connection strings and certificates")
	fs.Uint16Var(&f.mqttPort, "mqtt-port", 8883, "port for MQTT; 0 means any free one")
	fs.Uint16Var(&f.amqpPort, "amqp-port", 5671, "port for AMQP; 0 means any free one. On another than 5671 messages/events is served in place, as a redirect always names that one")
	fs.Uint16Var(&f.httpsPort, "https-port", 443, "port for HTTPS and WebSockets; 0 means any free one")
	fs.StringVar(&f.envFile, "env-file", "", "write a file of HUBWIRE_* variables for a shell when the hub is ready, and remove it at the end; an older env file there is removed as soon as this hub has its ports (a script that waits for the file should remove it first), anything else is left alone and an error")
	fs.StringVar(&f.data, "data", "", "folder for what outlives the hub: its certificate authority, and the files that devices upload")
	fs.StringArrayVar(&f.devices, "device", nil, "register a device of this id and print its connection string (repeatable)")
	fs.StringArrayVar(&f.consumerGroups, "consumer-group", nil, "a consumer group of the events besides $Default (repeatable)")
	fs.StringArrayVar(&f.eventSources, "event-source", nil, "what there are events of besides telemetry: twinChangeEvents, deviceLifecycleEvents or deviceConnectionStateEvents (repeatable)")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "log to stderr what clients are not told, such as why a login was refused")
	return c
}

func runHub(ctx context.Context, f *hubFlags, stdout, stderr io.Writer) (err error) {
	if err := f.checkPorts(); err != nil {
		return err
	}
	if f.envFile != "" {
		if err := checkEnvFile(f.envFile); err != nil {
			return err
		}
	}
	for _, id := range f.devices {
		if err := (hubwire.Identity{DeviceID: id}).Check(); err != nil {
			return fmt.Errorf("--device %s: %w", printable(id), err)
		}
	}
	h, err := hub.Start(ctx, f.config(stderr))
	if err != nil {
		return f.explain(err)
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	if f.envFile != "" { // not sooner: it is another hub's when that has the ports
		if err := clearEnvFile(f.envFile); err != nil {
			return err
		}
	}
	caFile, remove, err := f.placeCA(h)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	p, err := placeOf(h, caFile)
	if err != nil {
		return err
	}
	if err := f.printHub(ctx, stdout, h, p); err != nil {
		return err
	}
	if f.envFile != "" {
		if err := writeEnvFile(f.envFile, p); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, removeEnvFile(f.envFile, p)) }()
	}
	fmt.Fprintln(stdout, "\nready; Ctrl-C ends it")
	<-ctx.Done()
	return nil
}

// ports are the flags of ports with what they say.
func (f *hubFlags) ports() []portFlag {
	return []portFlag{{"--mqtt-port", f.mqttPort}, {"--amqp-port", f.amqpPort}, {"--https-port", f.httpsPort}}
}

type portFlag struct {
	name string
	port uint16
}

// checkPorts refuses one port for two protocols.
func (f *hubFlags) checkPorts() error {
	taken := map[uint16]string{}
	for _, p := range f.ports() {
		if other := taken[p.port]; other != "" && p.port != 0 {
			return fmt.Errorf("%s and %s are both %d", other, p.name, p.port)
		}
		taken[p.port] = p.name
	}
	return nil
}

func (f *hubFlags) config(stderr io.Writer) *hub.Config {
	cfg := &hub.Config{
		HostName:  f.host,
		MQTTAddr:  loopback(f.mqttPort),
		AMQPAddr:  loopback(f.amqpPort),
		HTTPSAddr: loopback(f.httpsPort),
		DataDir:   f.data,

		ConsumerGroups: f.consumerGroups,
		NoRedirect:     f.amqpPort != 5671,
	}
	for _, s := range f.eventSources {
		cfg.EventSources = append(cfg.EventSources, hub.EventSource(s))
	}
	if f.verbose {
		cfg.Log = slog.New(slog.NewTextHandler(stderr, nil))
	}
	return cfg
}

func loopback(port uint16) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))) }

// explain adds which flag helps when a port cannot be had.
func (f *hubFlags) explain(err error) error {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "listen" {
		return err
	}
	addr, ok := op.Addr.(*net.TCPAddr)
	if !ok {
		return err
	}
	var flag string
	for _, p := range f.ports() {
		if int(p.port) == addr.Port {
			flag = p.name
		}
	}
	switch {
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("port %d is not permitted to this user: choose another with %s, or 0 for any free one", addr.Port, flag)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("port %d is taken: choose another with %s, or 0 for any free one", addr.Port, flag)
	}
	return err
}

// placeCA returns the absolute path of the authority's certificate: in the data
// folder, where the hub keeps it, or in a temporary one, which remove removes.
func (f *hubFlags) placeCA(h *hub.Hub) (path string, remove func() error, err error) {
	const name = "ca.pem"
	if f.data != "" {
		path, err = filepath.Abs(filepath.Join(f.data, name))
		return path, func() error { return nil }, err
	}
	dir, err := os.MkdirTemp("", "hubwire-")
	if err != nil {
		return "", nil, err
	}
	remove = func() error { return os.RemoveAll(dir) }
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, h.CAPEM(), 0o644); err != nil {
		return "", nil, errors.Join(err, remove())
	}
	return path, remove, nil
}

func placeOf(h *hub.Hub, caFile string) (*place, error) {
	owner, err := h.PolicyConnectionString(ownerPolicy)
	if err != nil {
		return nil, err
	}
	return &place{
		host:      h.HostName(),
		mqttPort:  portOf(h.MQTTAddr()),
		amqpPort:  portOf(h.AMQPAddr()),
		httpsPort: portOf(h.HTTPSAddr()),
		caFile:    caFile,
		owner:     owner,
		events:    h.EventHubConnectionString(),
	}, nil
}

func portOf(addr string) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		panic(err) // a listener's own address
	}
	return port
}

// printHub registers the devices that were asked for and prints all that a
// client needs to know.
func (f *hubFlags) printHub(ctx context.Context, w io.Writer, h *hub.Hub, p *place) error {
	line := func(name, value string) { fmt.Fprintf(w, "%-16s%s\n", name, value) }
	line("hub", h.HostName())
	line("mqtt", h.MQTTAddr())
	line("amqp", h.AMQPAddr())
	line("https, *-ws", h.HTTPSAddr())
	line("CA certificate", p.caFile)
	line(ownerPolicy, p.owner)
	line("events", p.events)
	for _, id := range f.devices {
		d, err := h.Create(ctx, &hub.Device{Identity: hubwire.Identity{DeviceID: id}})
		if err != nil {
			return fmt.Errorf("--device %s: %w", printable(id), err)
		}
		s, err := h.ConnectionString(d.Identity)
		if err != nil {
			return err
		}
		line("device", s)
	}
	return nil
}
