package sas

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/hubwire/hubwire"
)

// Errors of [ParseConnectionString]; match them with [errors.Is].
var (
	ErrEmpty              = errors.New("sas: connection string is empty")
	ErrNotPairs           = errors.New("sas: connection string is malformed: it has to begin with name=value")
	ErrDuplicateKey       = errors.New("sas: connection string has a key twice")
	ErrEndpointScheme     = errors.New("sas: connection string: Endpoint has to begin with sb://")
	ErrMissingHostName    = errors.New("sas: connection string has no HostName")
	ErrBadHostName        = errors.New("sas: connection string: HostName is not a host name")
	ErrIncomplete         = errors.New("sas: connection string needs DeviceId or SharedAccessKeyName, and DeviceId with ModuleId")
	ErrMixedCredentials   = errors.New("sas: connection string has more than one kind of credential")
	ErrMissingCredentials = errors.New("sas: connection string has no credential")
	ErrBadSignature       = errors.New("sas: connection string: SharedAccessSignature is not a token")
)

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
	Kind            Kind
	HostName        string // the hub's name, also when a gateway is dialled
	DeviceID        string
	ModuleID        string
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

// Identity returns the device or module of c.
func (c *ConnectionString) Identity() hubwire.Identity {
	return hubwire.Identity{DeviceID: c.DeviceID, ModuleID: c.ModuleID}
}

// pairStart finds where a name=value pair begins: a semicolon that no name
// follows belongs to the value before it.
var pairStart = regexp.MustCompile(`(?:^|;)([^;=]*)=`)

// ParseConnectionString reads a connection string of a device, module,
// service or Event Hub. Names are of any case, unknown ones are skipped, an empty
// value counts as absent, and a value may hold "=" and ";". Nothing is decoded.
//
//	HostName={hub};DeviceId={d}[;ModuleId={m}];SharedAccessKey={key}[;GatewayHostName={g}]
//	HostName={hub};DeviceId={d};SharedAccessSignature={token}
//	HostName={hub};DeviceId={d};x509=true
//	HostName={hub};SharedAccessKeyName={policy};SharedAccessKey={key}
//	Endpoint=sb://{host}/;SharedAccessKeyName={policy};SharedAccessKey={key};EntityPath={name}
//
// The errors are this package's and hold no part of s but names of its keys.
func ParseConnectionString(s string) (*ConnectionString, error) {
	values, err := splitPairs(strings.Trim(strings.Trim(s, " \t\r\n"), ";"))
	if err != nil {
		return nil, err
	}
	c := &ConnectionString{
		HostName: values["hostname"], DeviceID: values["deviceid"], ModuleID: values["moduleid"],
		GatewayHostName: values["gatewayhostname"], SharedAccessKeyName: values["sharedaccesskeyname"],
		SharedAccessKey:       NewSecret(values["sharedaccesskey"]),
		SharedAccessSignature: NewSecret(values["sharedaccesssignature"]),
		X509:                  isTrue(values["x509"]) || isTrue(values["x509cert"]),
		UseProvisioning:       isTrue(values["useprovisioning"]),
		Endpoint:              values["endpoint"], EntityPath: values["entitypath"],
	}
	if c.Endpoint != "" {
		host, ok := strings.CutPrefix(c.Endpoint, "sb://")
		if !ok {
			return nil, ErrEndpointScheme
		}
		c.Kind, c.EndpointHost = KindEventHub, strings.TrimRight(host, "/")
		return c, nil
	}
	if err := c.check(); err != nil {
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

// splitPairs gives the values by lower-case name.
func splitPairs(s string) (map[string]string, error) {
	if s == "" {
		return nil, ErrEmpty
	}
	starts := pairStart.FindAllStringSubmatchIndex(s, -1)
	if len(starts) == 0 || starts[0][0] != 0 {
		return nil, ErrNotPairs
	}
	values := make(map[string]string, len(starts))
	for i, at := range starts {
		end := len(s)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		name := strings.ToLower(s[at[2]:at[3]])
		if _, twice := values[name]; twice {
			return nil, fmt.Errorf("%w: %q", ErrDuplicateKey, name)
		}
		values[name] = strings.TrimRight(s[at[1]:end], ";")
	}
	return values, nil
}

func isTrue(s string) bool { return strings.EqualFold(s, "true") }

var hostName = regexp.MustCompile(`^[A-Za-z0-9_.\-]+(:[0-9]+)?$`)

// check holds the rules of all but Event Hubs' connection strings.
func (c *ConnectionString) check() error {
	if c.HostName == "" {
		return ErrMissingHostName
	}
	if !hostName.MatchString(c.HostName) {
		return ErrBadHostName
	}
	if c.DeviceID == "" && (c.SharedAccessKeyName == "" || c.ModuleID != "") {
		return ErrIncomplete
	}
	credentials := 0
	for _, has := range [...]bool{!c.SharedAccessKey.IsZero(), !c.SharedAccessSignature.IsZero(), c.X509, c.UseProvisioning} {
		if has {
			credentials++
		}
	}
	switch {
	case credentials > 1:
		return ErrMixedCredentials
	case credentials == 0:
		return ErrMissingCredentials
	}
	if !c.SharedAccessSignature.IsZero() {
		if _, err := ParseToken(c.SharedAccessSignature.Reveal()); err != nil {
			return fmt.Errorf("%w: %w", ErrBadSignature, err)
		}
	}
	return nil
}

// AppendTo appends c as a connection string, with its secrets, to dst: absent
// keys are left out, and no semicolon is at the end. White space at the end of
// the last value is lost when it is read again.
func (c *ConnectionString) AppendTo(dst []byte) []byte {
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
