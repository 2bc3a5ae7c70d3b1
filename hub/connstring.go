package hub

import (
	"fmt"
	"strings"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Connection strings have the forms of the Azure portal. They hold a key:
// whoever has one is that identity. Host names carry no port.

// ConnectionString returns the connection string of a registered device or module:
//
//	HostName={host};DeviceId={d}[;ModuleId={m}];SharedAccessKey={primary key}
//
// or with x509=true in the place of the key when it authenticates by
// certificate. Codes: DeviceNotFound, ModuleNotFound.
func (h *Hub) ConnectionString(id hubwire.Identity) (string, error) {
	c, err := h.started("connection string")
	if err != nil {
		return "", err
	}
	d, err := c.Device(id)
	if err != nil {
		return "", err
	}
	s := "HostName=" + h.cfg.HostName + ";DeviceId=" + id.DeviceID
	if id.IsModule() {
		s += ";ModuleId=" + id.ModuleID
	}
	if d.Auth.Type == core.AuthSAS {
		return s + ";SharedAccessKey=" + d.Auth.Primary.Reveal(), nil
	}
	return s + ";x509=true", nil
}

// PolicyConnectionString returns the connection string of a shared access
// policy, for services: iothubowner, service, device, registryRead or
// registryReadWrite.
//
//	HostName={host};SharedAccessKeyName={policy};SharedAccessKey={primary key}
//
// The error is for any other name.
func (h *Hub) PolicyConnectionString(policy string) (string, error) {
	p, err := h.policy(policy)
	if err != nil {
		return "", err
	}
	return "HostName=" + h.cfg.HostName + ";SharedAccessKeyName=" + p.Name + ";SharedAccessKey=" + p.Primary.Reveal(), nil
}

// EventHubConnectionString returns the connection string of the built-in,
// Event Hubs-compatible endpoint, with the policy iothubowner:
//
//	Endpoint=sb://{host}/;SharedAccessKeyName=iothubowner;SharedAccessKey={key};EntityPath={hub}
//
// The entity is named after the first label of the host name.
func (h *Hub) EventHubConnectionString() string {
	p, err := h.policy(ownerPolicy)
	if err != nil {
		return "" // of no hub: the core makes this policy
	}
	name, _, _ := strings.Cut(h.cfg.HostName, ".")
	return "Endpoint=sb://" + h.cfg.HostName + "/;SharedAccessKeyName=" + p.Name +
		";SharedAccessKey=" + p.Primary.Reveal() + ";EntityPath=" + name
}

const ownerPolicy = "iothubowner"

func (h *Hub) policy(name string) (core.Policy, error) {
	c, err := h.started("connection string")
	if err != nil {
		return core.Policy{}, err
	}
	var names []string
	for _, p := range c.Policies() {
		if strings.EqualFold(p.Name, name) {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return core.Policy{}, &hubwire.Error{
		Op: "connection string", Code: hubwire.ArgumentInvalid, Outcome: hubwire.Refused,
		Message: fmt.Sprintf("no shared access policy %q; there are %s", name, strings.Join(names, ", ")),
	}
}
