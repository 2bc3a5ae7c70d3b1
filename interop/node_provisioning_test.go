package interop

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/sas"
)

// provisioned is what the SDK makes of an assignment.
type provisioned struct {
	AssignedHub, DeviceID, RegistrationID, Status, Substatus string
	Payload                                                  json.RawMessage
}

// TestNodeProvisioning lets azure-iot-provisioning-device register, and
// azure-iot-device use what it was assigned.
func TestNodeProvisioning(t *testing.T) {
	wanted(t)
	var refusals atomic.Int32
	s := openSite(t, hub.Config{
		Provisioning: hub.Provisioning{RetryAfter: time.Second, AssignAfter: 1500 * time.Millisecond},
		Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
			if op.Kind == hub.OpRegister && strings.HasPrefix(op.Identity.DeviceID, "busy") && refusals.Add(1)%2 == 1 {
				return hub.Verdict{Refuse: hubwire.Throttled, RetryAfter: time.Second}
			}
			return hub.Verdict{}
		},
	})
	j := startJudge(t, s.caFile)
	for _, transport := range []string{"mqtt", "mqtt-ws"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			c := &court{s, j, transport}
			t.Run("with a key of its own", c.provisionKey)
			t.Run("with the key of a group", c.provisionGroup)
			t.Run("with a certificate", c.provisionX509)
			t.Run("told to wait", func(t *testing.T) {
				e := c.enroll(t, hub.Enrollment{ID: "busy-" + transport})
				c.assigned(t, newcomer{RegistrationID: e.ID, Key: e.PrimaryKey.Reveal()})
			})
			t.Run("refused", c.provisionRefused)
		})
	}
}

func (c *court) enroll(t *testing.T, e hub.Enrollment) *hub.Enrollment {
	t.Helper()
	made, err := c.Enroll(&e)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (c *court) newcomer(t *testing.T, n newcomer) *peer {
	t.Helper()
	n.Host, n.IDScope, n.Transport = "localhost", c.IDScope(), c.transport
	return c.add(t, "new newcomer", n)
}

// assigned registers, and looks at what comes of it.
func (c *court) assigned(t *testing.T, n newcomer) provisioned {
	t.Helper()
	var got provisioned
	if err := json.Unmarshal(c.newcomer(t, n).do(t, "register", nil), &got); err != nil {
		t.Fatal(err)
	}
	if got.AssignedHub != c.HostName() || got.RegistrationID != n.RegistrationID || got.Status != "assigned" || got.Substatus != "initialAssignment" {
		t.Errorf("%+v", got)
	}
	return got
}

// works has a device of the hub, by its connection string, send something.
func (c *court) works(t *testing.T, id hubwire.Identity, connectionString string) {
	t.Helper()
	p := c.client(t, setup{ConnectionString: connectionString, Transport: c.transport})
	events := c.events(t, id)
	p.do(t, "send", sdkMessage{Body: []byte("hi")})
	arrives(t, events, hubwire.Message{Body: []byte("hi")})
}

func (c *court) provisionKey(t *testing.T) {
	id := hubwire.Identity{DeviceID: "pump-" + c.transport}
	e := c.enroll(t, hub.Enrollment{ID: "own-" + c.transport, DeviceID: id.DeviceID, Payload: json.RawMessage(`{"a":[1]}`)})
	got := c.assigned(t, newcomer{RegistrationID: e.ID, Key: e.PrimaryKey.Reveal(), Payload: json.RawMessage(`{"model":"x"}`)})
	sameJSON(t, "payload", `{"a":[1]}`, got.Payload)
	if got.DeviceID != id.DeviceID {
		t.Errorf("device id %q", got.DeviceID)
	}
	c.works(t, id, "HostName="+got.AssignedHub+";DeviceId="+got.DeviceID+";SharedAccessKey="+e.PrimaryKey.Reveal())
}

func (c *court) provisionGroup(t *testing.T) {
	e := c.enroll(t, hub.Enrollment{ID: "group-" + c.transport, Group: true})
	group, err := sas.NewKey(e.PrimaryKey)
	if err != nil {
		t.Fatal(err)
	}
	id := hubwire.Identity{DeviceID: "one-of-many-" + c.transport}
	key := sas.DeriveKey(group, id.DeviceID).Reveal()
	got := c.assigned(t, newcomer{RegistrationID: id.DeviceID, Key: key})
	c.works(t, id, "HostName="+got.AssignedHub+";DeviceId="+got.DeviceID+";SharedAccessKey="+key)
}

func (c *court) provisionX509(t *testing.T) {
	id := "cert-" + c.transport
	cert, key, thumbprint := certificate(t, id)
	c.enroll(t, hub.Enrollment{ID: id, PrimaryThumbprint: thumbprint})
	c.assigned(t, newcomer{RegistrationID: id, X509: &x509Auth{Cert: cert, Key: key}})
}

func (c *court) provisionRefused(t *testing.T) {
	e := c.enroll(t, hub.Enrollment{ID: "refused-" + c.transport})
	other := c.enroll(t, hub.Enrollment{ID: "other-" + c.transport, Disabled: true})
	c.newcomer(t, newcomer{RegistrationID: e.ID, Key: other.PrimaryKey.Reveal()}).fails(t, "Error", "Connection refused: Not authorized", "register", nil)
	c.newcomer(t, newcomer{RegistrationID: "nobody", Key: e.PrimaryKey.Reveal()}).fails(t, "Error", "Connection refused: Not authorized", "register", nil)
	c.newcomer(t, newcomer{RegistrationID: other.ID, Key: other.PrimaryKey.Reveal()}).fails(t, "SyntaxError", "status is disabled", "register", nil)
}
