package hub

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Config says what kind of hub [Start] makes. The zero value, and nil, mean the defaults.
type Config struct {
	// HostName is the hub's name in connection strings, user names and tokens.
	// Empty means "localhost". Its server certificate is also for localhost,
	// 127.0.0.1, *.azure-devices.net and *.azure-devices-provisioning.net.
	HostName string

	// InMemory makes a hub without sockets: only [Hub.Dial] leads to it. The
	// addresses below are then not used.
	InMemory bool

	// MQTTAddr, AMQPAddr and HTTPSAddr are where to listen, as "host:port" or ":port".
	// HTTPS also serves WebSockets. No host means 127.0.0.1; empty, and port
	// 0, mean any free port.
	MQTTAddr, AMQPAddr, HTTPSAddr string

	// DataDir is a directory, made when missing, for what outlives the hub: its
	// certificate authority (ca.pem, and ca-key.pem, which only the owner can
	// read), and the files that devices upload to its own storage (blobs, with the
	// key of their tokens). Empty means that nothing does.
	DataDir string

	// VerifiedCAs are the authorities whose device certificates are taken
	// (authentication type certificateAuthority).
	VerifiedCAs []*x509.Certificate

	// Skew is how long a token is taken after its expiry, and how long after
	// that its connection is dropped. 0 means 5 minutes; negative, none.
	Skew time.Duration

	// LockTimeout is how long a delivered cloud-to-device message waits for
	// its settlement. 0 means 1 minute.
	LockTimeout time.Duration

	// DefaultTTL is the life of a cloud-to-device message without an expiry.
	// 0 means 1 hour.
	DefaultTTL time.Duration

	// MaxDeliveryCount is how often a cloud-to-device message can be abandoned
	// before it is dropped, 1 to 100. 0 means 10.
	MaxDeliveryCount int

	// MaxSubscriptions bounds the topic filters of an MQTT session; one more
	// closes the connection. 0 means 5, as the guide says.
	MaxSubscriptions int

	// ConnectTimeout is how long a new connection may take for its TLS
	// handshake (but never more than 30 s) and for its first packet. 0 means 60 s.
	ConnectTimeout time.Duration

	// MaxStrangers bounds the connections of a door whose peers have not logged
	// in, or over HTTPS been authorized. Those beyond it wait to be accepted.
	// 0 means 1024.
	MaxStrangers int

	// WriteTimeout is how long a peer may take to read what it is sent, over MQTT the next
	// 16 KiB of it, before its connection is dropped. 0 means 30 s.
	WriteTimeout time.Duration

	// RefuseFilters makes an unknown MQTT topic filter fail with return code
	// 0x80 in SUBACK, where IoT Hub closes the connection.
	RefuseFilters bool

	// AllowNoAPIVersion takes MQTT user names without api-version.
	AllowNoAPIVersion bool

	// PurgeUnsubscribed drops the cloud-to-device messages of a device that is
	// connected over MQTT without a subscription to them, those that waited and those
	// that come, which is what users of IoT Hub report. The default is kinder:
	// messages wait for the subscription.
	PurgeUnsubscribed bool

	// GatewayProperties gives two application properties the meaning that they have
	// with Protocol Gateway, the ancestor of the service's MQTT front: telemetry that
	// comes with DUP=1 gets mqtt-dup=true, and a message to a device that has
	// mqtt-qos=0 goes out at QoS 0, whatever was granted, which completes it at once. The
	// .NET SDK cannot take that. Whether the service does either is not documented.
	GatewayProperties bool

	// Throttle bounds the rates of operations, and messages a day. The zero
	// Throttle bounds nothing; [S1] has those of a tier.
	Throttle Throttle

	// Provisioning says how the hub's Device Provisioning Service works; see [Hub.Enroll].
	Provisioning Provisioning

	// Upload says where devices upload files to; see [Upload].
	Upload Upload

	// Routes carry messages between modules, as IoT Edge's routes do.
	Routes []Route

	// Partitions is how many partitions the log of events has, 1 to 128. 0 means 4.
	Partitions int

	// ConsumerGroups are those of the Event Hubs-compatible endpoint besides "$Default", which
	// there always is. The case of their letters does not matter; they have at most 50 characters of
	// A-Z, 0-9, "-", "_" and ".". They do not change while the hub runs.
	ConsumerGroups []string

	// NoRedirect serves the AMQP address messages/events in place, where IoT Hub redirects to the
	// Event Hubs-compatible endpoint: at the hub's own name, but always at port 5671, which may not be
	// where the hub listens.
	NoRedirect bool

	// EventSources are whose events the log gets besides telemetry, as if a route of each led to
	// the built-in endpoint. None do by default, as in a new IoT Hub.
	EventSources []EventSource

	// Intercept sees every operation before the hub acts, and may delay or
	// refuse it, cut the connection, or swallow the answer. It may be called from many
	// goroutines at once, must heed ctx, and must not call the Hub's Close. A panic in it,
	// or a [runtime.Goexit] (and so t.FailNow), cuts the connection, and goes to Log. nil means none.
	Intercept func(ctx context.Context, op *Op) Verdict

	// Log gets what peers are not told, such as why a login was refused. It
	// never gets a key or a token. nil means none.
	Log *slog.Logger
}

// Route sends what a module (or device) sends to an output on to an input of
// another module, besides the log of events. A message that the input's
// queue has no room for is dropped, which is logged. IoT Edge's routes are a
// query language; this is their simplest form.
type Route struct {
	From   hubwire.Identity // the sender
	Output string           // empty means telemetry without an output
	To     hubwire.Identity // the module that gets it
	Input  string           // by which it gets it
}

func (c *Config) withDefaults() Config {
	var cfg Config
	if c != nil {
		cfg = *c
	}
	cfg.HostName = cmp.Or(cfg.HostName, "localhost")
	cfg.Provisioning.IDScope = cmp.Or(cfg.Provisioning.IDScope, "0ne00000000")
	cfg.ConnectTimeout = cmp.Or(cfg.ConnectTimeout, 60*time.Second)
	cfg.WriteTimeout = cmp.Or(cfg.WriteTimeout, 30*time.Second)
	cfg.MaxStrangers = cmp.Or(cfg.MaxStrangers, 1024)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return cfg
}

// check refuses what no hub can be.
func (c *Config) check() error {
	if net.ParseIP(c.HostName) == nil && strings.ContainsAny(c.HostName, ":/?&;= ") {
		return invalid("HostName %q is not the name of a host, without a port", c.HostName)
	}
	if c.MaxDeliveryCount < 0 || c.MaxDeliveryCount > 100 {
		return invalid("MaxDeliveryCount %d is not 1 to 100", c.MaxDeliveryCount)
	}
	if c.Partitions < 0 || c.Partitions > 128 {
		return invalid("Partitions %d is not 1 to 128", c.Partitions)
	}
	for _, name := range c.ConsumerGroups {
		if !isGroupName(name) {
			return invalid("ConsumerGroups: %.60q is not a name", name)
		}
	}
	for _, s := range c.EventSources {
		if !slices.Contains(core.EventSources, s) {
			return invalid("EventSources: there is no source %.60q besides telemetry", s)
		}
	}
	if slices.Contains(c.VerifiedCAs, nil) {
		return invalid("an authority of VerifiedCAs is nil")
	}
	if strings.ContainsAny(c.Provisioning.IDScope, "/#+?&; ") {
		return invalid("Provisioning.IDScope %q is none", c.Provisioning.IDScope)
	}
	for name, v := range map[string]int64{
		"LockTimeout": int64(c.LockTimeout), "DefaultTTL": int64(c.DefaultTTL),
		"ConnectTimeout": int64(c.ConnectTimeout), "WriteTimeout": int64(c.WriteTimeout),
		"MaxSubscriptions": int64(c.MaxSubscriptions), "MaxStrangers": int64(c.MaxStrangers),
		"Throttle.MessagesADay": int64(c.Throttle.MessagesADay),
		"Upload.SASTTL":         int64(c.Upload.SASTTL), "Upload.MaxBytes": c.Upload.MaxBytes,
		"Provisioning.AssignAfter": int64(c.Provisioning.AssignAfter), "Provisioning.RetryAfter": int64(c.Provisioning.RetryAfter),
	} {
		if v < 0 {
			return invalid("%s is negative", name)
		}
	}
	return c.Throttle.check()
}

// isGroupName reports whether a consumer group can be called so. Source: Event Hubs naming rules.
func isGroupName(name string) bool {
	const others = "-_."
	ok := name != "" && len(name) <= 50
	for _, r := range name {
		ok = ok && (r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r)) || strings.ContainsRune(others, r))
	}
	return ok
}

func invalid(format string, args ...any) error {
	return &hubwire.Error{Op: "start hub", Code: hubwire.ArgumentInvalid, Outcome: hubwire.NotSent, Message: fmt.Sprintf(format, args...)}
}
