package amqpfront

import (
	"bytes"
	"errors"
	"net/url"
	"strings"

	"github.com/hubwire/hubwire"
)

// SASL imitates IoT Edge's hub: PLAIN is a login of one identity or policy, ANONYMOUS, MSSBCBS and
// EXTERNAL say that it will come later, by claims-based security or a certificate of TLS. The
// order in which the service offers them is not documented.

// mechanisms are those that are offered. Clients take the first that they know.
var mechanisms = []string{"MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"}

var errPlain = errors.New("the response is not one of SASL PLAIN for this hub")

// plain is what the response of SASL PLAIN says (RFC 4616):
//
//	[authzid] NUL authcid NUL password
//
// The password is a token; with a policy that stands alone, as at the Event Hubs-compatible
// endpoint, it is the policy's key.
type plain struct {
	identity hubwire.Identity // or
	policy   string
	key      bool // the password is a key
	password []byte
}

// parsePlain reads the response for the hub of that name. The user names are
//
//	{policy}@sas.root.{hub}
//	{device}[/modules/{module}]@sas.{hub}
//	{device}[/modules/{module}]@{hub}
//	{policy}
//
// where hub is the first label of host. Ids may be percent-encoded.
func parsePlain(response []byte, host string) (p plain, err error) {
	_, rest, ok := bytes.Cut(response, []byte{0})
	user, password, ok2 := bytes.Cut(rest, []byte{0})
	if !ok || !ok2 || len(user) == 0 || len(password) == 0 {
		return p, errPlain
	}
	p.password = password
	at := bytes.LastIndexByte(user, '@')
	if at < 0 {
		p.policy, p.key = string(user), true
		return p, nil
	}
	name, where := string(user[:at]), string(user[at+1:])
	sas, isSAS := cutFold(where, "sas.")
	root, isRoot := cutFold(sas, "root.")
	hub := where
	switch {
	case isSAS && isRoot:
		hub, p.policy = root, name
	case isSAS:
		hub = sas
	}
	if label, _, _ := strings.Cut(host, "."); !strings.EqualFold(hub, label) && !strings.EqualFold(hub, host) {
		return p, errPlain
	}
	if p.policy != "" {
		return p, nil
	}
	var isModule bool
	p.identity.DeviceID, p.identity.ModuleID, isModule = strings.Cut(name, "/modules/")
	for _, id := range []*string{&p.identity.DeviceID, &p.identity.ModuleID} {
		if decoded, err := url.PathUnescape(*id); err == nil {
			*id = decoded
		}
	}
	if p.identity.Check() != nil || isModule != p.identity.IsModule() {
		return p, errPlain
	}
	return p, nil
}

// cutFold is [strings.CutPrefix] without case.
func cutFold(s, prefix string) (after string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
