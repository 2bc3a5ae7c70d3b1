package topics

import (
	"strings"

	"github.com/hubwire/hubwire"
)

// UserName is what the user name of a CONNECT to IoT Hub says:
//
//	{host}/{device}[/{module}]/?api-version={v}[&DeviceClientType={t}][&auth-chain={c}][&model-id={m}]
type UserName struct {
	Host       string           // the IoT hub's name, also on a connection to a gateway
	Identity   hubwire.Identity // neither id is escaped
	APIVersion string           // such as "2021-04-12"
	ClientType string           // DeviceClientType: which software connects
	ModelID    string           // model-id: the Plug and Play model, such as "dtmi:com:example:Thermostat;1"
	AuthChain  AuthChain        // auth-chain: behind nested gateways, on whose behalf
}

// AuthChain is who vouches for whom, from the identity that connects to the
// gateway that acts for it: "leaf", its parent edge device, and so on. Module
// ids are set off by a slash.
type AuthChain []string

// Actor returns the edge device whose $edgeHub module's token the password is,
// or "" when the identity speaks for itself.
func (c AuthChain) Actor() string {
	if len(c) < 2 {
		return ""
	}
	return c[len(c)-1]
}

// String joins the ids with semicolons, as the wire does.
func (c AuthChain) String() string { return strings.Join(c, ";") }

// AppendUserName appends the user name u. Empty parameters are left out; the
// values of the others are escaped as [AppendEscape] does.
func AppendUserName(dst []byte, u *UserName) []byte {
	if u == nil {
		u = new(UserName)
	}
	dst = append(append(dst, u.Host...), '/')
	dst = append(AppendClientID(dst, u.Identity), "/?"...)
	dst = appendParam(dst, "api-version", u.APIVersion)
	dst = appendParam(dst, "DeviceClientType", u.ClientType)
	dst = appendParam(dst, "auth-chain", u.AuthChain.String())
	return appendParam(dst, "model-id", u.ModelID)
}

func appendParam(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(append(appendSeparator(dst), name...), '=')
	return AppendEscape(dst, value)
}

// UserNameOptions says how [ParseUserName] treats what the documents leave open.
type UserNameOptions struct {
	// Lenient accepts a user name without api-version, down to
	// "{host}/{device}", and raw slashes in the parameters after "/?". The
	// guide says that leaving out the version "may cause unexpected
	// behaviour", so the service may take it; the default is to refuse.
	Lenient bool
}

// legacyTail is the one shape with six segments that the service still takes.
const legacyTail = "/api-version=2017-06-30/DeviceClientType=Microsoft.Azure.Devices.Client/1.5.1-preview-003"

// ParseUserName reads the user name of a CONNECT by the rules of the service
// (as Edge Hub has them):
//   - the segments are host, device, perhaps module, and parameters, which begin
//     with '?' or, in an older form, contain "api-version=";
//   - parameters come in any order, unknown ones and empty ones are ignored, of
//     two with the same name the first counts, values are percent-decoded;
//   - api-version must be there and not blank, whatever its value;
//   - the first id of auth-chain must be the identity itself.
//
// The host is not compared with anything. nil options mean the zero ones. The
// error is a [*SyntaxError], which does not hold the user name.
func ParseUserName(s string, opts *UserNameOptions) (UserName, error) {
	if err := checkString("user name", s); err != nil {
		return UserName{}, err
	}
	lenient := opts != nil && opts.Lenient
	ids, params, at, err := splitUserName(s, lenient)
	if err != nil {
		return UserName{}, err
	}
	u, err := parseIDs(ids)
	if err != nil {
		return UserName{}, err
	}
	u.params(params)
	if strings.TrimSpace(u.APIVersion) == "" && !lenient {
		return UserName{}, wrong("api-version", at, ErrMissing)
	}
	if len(u.AuthChain) > 0 && u.AuthChain[0] != u.Identity.String() {
		return UserName{}, wrong("auth-chain", at, ErrAuthChain)
	}
	return u, nil
}

// splitUserName parts "{host}/{device}[/{module}]" from the parameters, which begin at offset at.
func splitUserName(s string, lenient bool) (ids, params string, at int, err error) {
	if ids, ok := strings.CutSuffix(s, legacyTail); ok && strings.Count(ids, "/") == 2 {
		at = len(ids) + 1
		return ids, strings.Replace(s[at:], "/", "&", 1), at, nil
	}
	if lenient {
		if i := strings.Index(s, "/?"); i >= 0 {
			return s[:i], s[i+2:], i + 2, nil
		}
	}
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", "", 0, wrong("user name", len(s), ErrTruncated)
	}
	ids, params, at = s[:i], s[i+1:], i+1
	if p, ok := strings.CutPrefix(params, "?"); ok {
		return ids, p, at + 1, nil
	}
	if strings.Contains(params, "api-version=") {
		return ids, params, at, nil
	}
	if lenient {
		return s, "", len(s), nil
	}
	return "", "", 0, wrong("api-version", at, ErrMissing)
}

// parseIDs reads "{host}/{device}[/{module}]". Blanks around the parts do not count.
func parseIDs(s string) (u UserName, err error) {
	host, ids, _ := strings.Cut(s, "/")
	device, module, isModule := strings.Cut(ids, "/")
	u.Host = strings.TrimSpace(host)
	u.Identity.DeviceID = strings.TrimSpace(device)
	u.Identity.ModuleID = strings.TrimSpace(module)
	atDevice := min(len(host)+1, len(s))
	atModule := min(atDevice+len(device)+1, len(s))
	switch {
	case u.Host == "":
		return u, wrong("host", 0, ErrEmpty)
	case u.Identity.DeviceID == "":
		return u, wrong("device id", atDevice, ErrEmpty)
	case isModule && u.Identity.ModuleID == "":
		return u, wrong("module id", atModule, ErrEmpty)
	case strings.Contains(module, "/"):
		return u, wrong("user name", atModule+strings.IndexByte(module, '/'), ErrSegment)
	}
	return u, nil
}

func (u *UserName) params(s string) {
	seen := [4]bool{}
	for p := range Bag(s).Pairs() {
		value := unescape(p.Value)
		switch {
		case string(p.Name) == "api-version" && !seen[0]:
			seen[0], u.APIVersion = true, value
		case string(p.Name) == "DeviceClientType" && !seen[1]:
			seen[1], u.ClientType = true, value
		case string(p.Name) == "model-id" && !seen[2]:
			seen[2], u.ModelID = true, value
		case string(p.Name) == "auth-chain" && !seen[3]:
			seen[3], u.AuthChain = true, splitAuthChain(value)
		}
	}
}

func splitAuthChain(s string) (c AuthChain) {
	for id := range strings.SplitSeq(s, ";") {
		if id != "" {
			c = append(c, id)
		}
	}
	return c
}

// DPSUserName is what the user name of a CONNECT to DPS says. There is no question mark in it:
//
//	{idScope}/registrations/{registration}/api-version={v}[&ClientVersion={c}]
type DPSUserName struct {
	IDScope        string // of the DPS instance, such as "0ne00000000"
	RegistrationID string // also the client id
	APIVersion     string // such as "2019-03-31"
	ClientVersion  string // as on the wire: [AppendEscape] it first if need be
}

// AppendDPSUserName appends the user name u. An empty ClientVersion is left out.
func AppendDPSUserName(dst []byte, u *DPSUserName) []byte {
	if u == nil {
		u = new(DPSUserName)
	}
	dst = append(append(dst, u.IDScope...), "/registrations/"...)
	dst = append(append(dst, u.RegistrationID...), "/api-version="...)
	dst = append(dst, u.APIVersion...)
	if u.ClientVersion == "" {
		return dst
	}
	return append(append(dst, "&ClientVersion="...), u.ClientVersion...)
}

// ParseDPSUserName is the inverse of [AppendDPSUserName]. It takes a '?' before
// the parameters, and ignores parameters that it does not know. The error is a [*SyntaxError].
func ParseDPSUserName(s string) (DPSUserName, error) {
	var u DPSUserName
	if err := checkString("user name", s); err != nil {
		return u, err
	}
	scope, rest, ok := strings.Cut(s, "/registrations/")
	if !ok {
		return u, wrong("registration id", len(s), ErrMissing)
	}
	id, params, _ := strings.Cut(rest, "/")
	atID := len(s) - len(rest)
	switch slash := strings.IndexByte(scope, '/'); {
	case scope == "":
		return u, wrong("id scope", 0, ErrEmpty)
	case slash >= 0:
		return u, wrong("id scope", slash, ErrSegment)
	case id == "":
		return u, wrong("registration id", atID, ErrEmpty)
	}
	u.IDScope, u.RegistrationID = scope, id
	for p := range Bag(strings.TrimPrefix(params, "?")).Pairs() {
		switch {
		case string(p.Name) == "api-version" && u.APIVersion == "":
			u.APIVersion = string(p.Value)
		case string(p.Name) == "ClientVersion" && u.ClientVersion == "":
			u.ClientVersion = string(p.Value)
		}
	}
	if strings.TrimSpace(u.APIVersion) == "" {
		return DPSUserName{}, wrong("api-version", len(s)-len(params), ErrMissing)
	}
	return u, nil
}
