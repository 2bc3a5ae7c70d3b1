package sas

import (
	"fmt"
	"strings"

	"github.com/hubwire/hubwire"
)

// MaxConnectionString is the longest connection string that
// [ParseConnectionString] takes, in bytes: room for a token of [MaxToken].
const MaxConnectionString = 2 * MaxToken

// Kind says whose connection string it is.
type Kind uint8

// The kinds. The zero Kind is not valid.
const (
	KindDevice Kind = iota + 1
	KindModule
	KindService  // a shared access policy of a hub or of DPS
	KindEventHub // an Event-Hub-compatible endpoint
)

// String returns "device", "module", "service" or "eventhub".
func (k Kind) String() string {
	switch k {
	case KindDevice:
		return "device"
	case KindModule:
		return "module"
	case KindService:
		return "service"
	case KindEventHub:
		return "eventhub"
	}
	return "invalid"
}

// ConnectionString is a parsed connection string. Printed, its key and
// signature do not show; [ConnectionString.AppendTo] writes them.
type ConnectionString struct {
	Kind            Kind   // whose it is
	HostName        string // the hub's name, also when a gateway is dialled
	DeviceID        string // empty unless it is a device's or a module's
	ModuleID        string // empty unless it is a module's
	GatewayHostName string // the host to dial instead; empty for none

	SharedAccessKeyName   string // policy
	SharedAccessKey       Secret // base64, not checked ([NewKey]); plain text for Event Hubs
	SharedAccessSignature Secret // a token
	X509                  bool   // a client certificate is the credential
	UseProvisioning       bool   // HostName is DPS

	Endpoint     string // of Event Hubs: sb://{host}/
	EndpointHost string // its host
	EntityPath   string // the Event Hub's name
}

// Identity returns the device or module of c; of a service or an Event Hub it is zero.
func (c *ConnectionString) Identity() hubwire.Identity {
	if c == nil {
		return hubwire.Identity{}
	}
	return hubwire.Identity{DeviceID: c.DeviceID, ModuleID: c.ModuleID}
}

// ParseConnectionString reads a connection string of a device, module, service or
// Event Hub, of at most [MaxConnectionString] bytes. Names are of any case, unknown
// ones are skipped, an empty value counts as absent, and a value may hold "=" and ";".
// Nothing is decoded.
//
//	HostName={hub};DeviceId={d}[;ModuleId={m}];SharedAccessKey={key}[;GatewayHostName={g}]
//	HostName={hub};DeviceId={d};SharedAccessSignature={token}
//	HostName={hub};DeviceId={d};x509=true
//	HostName={hub};SharedAccessKeyName={policy};SharedAccessKey={key}
//	Endpoint=sb://{host}/;SharedAccessKeyName={policy};SharedAccessKey={key};EntityPath={name}
//
// The error is a [*SyntaxError]. The key is not decoded here ([NewKey]), and a
// token may have expired. What c holds shares the memory of s.
func ParseConnectionString(s string) (*ConnectionString, error) {
	p, err := splitPairs(s)
	if err != nil {
		return nil, err
	}
	c := &ConnectionString{
		HostName: p.value("HostName"), DeviceID: p.value("DeviceId"), ModuleID: p.value("ModuleId"),
		GatewayHostName: p.value("GatewayHostName"), SharedAccessKeyName: p.value("SharedAccessKeyName"),
		SharedAccessKey:       NewSecret(p.value("SharedAccessKey")),
		SharedAccessSignature: NewSecret(p.value("SharedAccessSignature")),
		X509:                  p.isTrue("x509") || p.isTrue("X509Cert"),
		UseProvisioning:       p.isTrue("UseProvisioning"),
		Endpoint:              p.value("Endpoint"), EntityPath: p.value("EntityPath"),
	}
	if c.Endpoint != "" {
		host, ok := strings.CutPrefix(c.Endpoint, "sb://")
		if !ok {
			return nil, p.refuse("Endpoint", ErrEndpointScheme)
		}
		c.Kind, c.EndpointHost = KindEventHub, strings.TrimRight(host, "/")
		return c, nil
	}
	if err := c.check(p); err != nil {
		return nil, err
	}
	switch {
	case c.ModuleID != "":
		c.Kind = KindModule
	case c.DeviceID != "":
		c.Kind = KindDevice
	default:
		c.Kind = KindService
	}
	return c, nil
}

// check holds the rules of all but Event Hubs' connection strings.
func (c *ConnectionString) check(p *pairs) error {
	switch {
	case c.HostName == "":
		return p.refuse("HostName", ErrMissingHostName)
	case !isHostName(c.HostName):
		return p.refuse("HostName", ErrBadHostName)
	case c.DeviceID == "" && (c.SharedAccessKeyName == "" || c.ModuleID != ""):
		return p.refuse(wholeString, ErrIncomplete)
	}
	credentials := 0
	for _, has := range [...]bool{!c.SharedAccessKey.IsZero(), !c.SharedAccessSignature.IsZero(), c.X509, c.UseProvisioning} {
		if has {
			credentials++
		}
	}
	switch {
	case credentials > 1:
		return p.refuse(wholeString, ErrMixedCredentials)
	case credentials == 0:
		return p.refuse(wholeString, ErrMissingCredentials)
	}
	if !c.SharedAccessSignature.IsZero() {
		if _, err := ParseToken(c.SharedAccessSignature.Reveal()); err != nil {
			return p.refuse("SharedAccessSignature", fmt.Errorf("%w: %w", ErrBadSignature, err))
		}
	}
	return nil
}

// isHostName reports whether s is of letters, digits and "-._", with or without :port.
func isHostName(s string) bool {
	host, port, hasPort := strings.Cut(s, ":")
	for i := range len(host) {
		c := lower(host[i])
		if c-'a' > 'z'-'a' && c-'0' > 9 && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return host != "" && (!hasPort || isDigits(port))
}

// AppendTo appends c as a connection string, with its secrets, to dst: absent
// keys are left out, and no semicolon is at the end. It allocates only to grow dst.
// Two things that values can hold are lost when it is read again, for want of an
// escape: white space at the end of the last one, and what follows a semicolon if
// that looks like name=.
func (c *ConnectionString) AppendTo(dst []byte) []byte {
	if c == nil {
		return dst
	}
	start := len(dst)
	put := func(name, value string) {
		if value == "" {
			return
		}
		if len(dst) > start {
			dst = append(dst, ';')
		}
		dst = append(append(append(dst, name...), '='), value...)
	}
	put("Endpoint", c.Endpoint)
	put("HostName", c.HostName)
	put("DeviceId", c.DeviceID)
	put("ModuleId", c.ModuleID)
	put("SharedAccessKeyName", c.SharedAccessKeyName)
	put("SharedAccessKey", c.SharedAccessKey.Reveal())
	put("SharedAccessSignature", c.SharedAccessSignature.Reveal())
	put("x509", trueOrEmpty(c.X509))
	put("UseProvisioning", trueOrEmpty(c.UseProvisioning))
	put("GatewayHostName", c.GatewayHostName)
	put("EntityPath", c.EntityPath)
	return dst
}

func trueOrEmpty(b bool) string {
	if b {
		return "true"
	}
	return ""
}
