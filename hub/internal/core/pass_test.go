package core

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

// textToken signs as Event Hubs clients do, with the bytes of the key's text.
func textToken(key sas.Secret, resource, policy string) string {
	sr, se := url.QueryEscape(resource), soon().Unix()
	h := hmac.New(sha256.New, []byte(key.Reveal()))
	fmt.Fprintf(h, "%s\n%d", sr, se)
	return fmt.Sprintf("SharedAccessSignature sr=%s&sig=%s&se=%d&skn=%s",
		sr, url.QueryEscape(base64.StdEncoding.EncodeToString(h.Sum(nil))), se, policy)
}

func TestPolicyPass(t *testing.T) {
	c := newCore(t, &Config{HostName: host})
	key := func(policy string) sas.Secret { return c.policy(policy).Primary }
	cases := []struct {
		name, token, path string
		want              Right
		valid, ok         bool
	}{
		{"the whole hub", token(key("service"), host, soon(), "service"), "/messages/devicebound", ServiceConnect, true, true},
		{"a part that covers the path", token(key("service"), host+"%2Fmessages", soon(), "service"), "/messages/events", ServiceConnect, true, true},
		{"a part beside the path", token(key("service"), host+"%2Fdevices", soon(), "service"), "/messages/events", ServiceConnect, true, false},
		{"another hub", token(key("service"), "other.example", soon(), "service"), "/messages/events", ServiceConnect, true, false},
		{"a right that it has not", token(key("device"), host, soon(), "device"), "/messages/events", ServiceConnect, true, false},
		{"an URL", token(key("service"), "amqps%3A%2F%2F"+host+"%2Fmessages%2F", soon(), "service"), "/messages/events", ServiceConnect, true, true},
		{"an URL that is not encoded", token(key("service"), "sb://"+host+"/", soon(), "service"), "/messages/events", ServiceConnect, true, true},
		{"the text of the key", textToken(key("iothubowner"), "amqps://"+host+"/hub/ConsumerGroups", "iothubowner"), "/hub/ConsumerGroups/a/Partitions/0", ServiceConnect, true, true},
		{"the secondary key", token(c.policy("service").Secondary, host, soon(), "service"), "/x", ServiceConnect, true, true},
		{"the wrong key", token(key("device"), host, soon(), "service"), "", 0, false, false},
		{"the text of the wrong key", textToken(key("device"), host, "service"), "", 0, false, false},
		{"no policy", token(key("service"), host, soon(), ""), "", 0, false, false},
		{"an unknown policy", token(key("service"), host, soon(), "x"), "", 0, false, false},
		{"a token that has expired", token(key("service"), host, time.Now().Add(-time.Hour), "service"), "", 0, false, false},
		{"an URL of no host", token(key("iothubowner"), "sb:///", soon(), "iothubowner"), "", 0, false, false},
		{"nothing", "", "", 0, false, false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			p, err := c.PolicyPass(sas.NewSecret(tc.token))
			if !tc.valid {
				wantCode(t, "PolicyPass", err, hubwire.Unauthorized)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Allows(tc.path, tc.want); got != tc.ok {
				t.Errorf("Allows(%q) = %v", tc.path, got)
			}
		})
	}
}

func TestKeyPass(t *testing.T) {
	c := newCore(t, &Config{HostName: host})
	p, err := c.KeyPass("SERVICE", c.policy("service").Secondary)
	must(t, err)
	if !p.Allows("/messages/events", ServiceConnect) || p.Allows("/", RegistryRead) || !p.Expires.IsZero() {
		t.Errorf("the pass is %+v", p)
	}
	for name, key := range map[string]sas.Secret{"service": c.policy("device").Primary, "x": c.policy("service").Primary, "device": {}} {
		_, err := c.KeyPass(name, key)
		wantCode(t, "KeyPass of "+name, err, hubwire.Unauthorized)
	}
}

func TestAuthenticateToken(t *testing.T) {
	c := newCore(t, &Config{HostName: host})
	odd := hubwire.Identity{DeviceID: "a%2Fb+c"}
	module := hubwire.Identity{DeviceID: "dev", ModuleID: "$edgeHub"}
	keys := map[hubwire.Identity]sas.Secret{dev: c.entity(dev).dev.Auth.Primary}
	for _, id := range []hubwire.Identity{odd, module} {
		keys[id] = create(t, c, &Device{ID: id}).Auth.Primary
	}
	escape := url.QueryEscape
	cases := []struct {
		name, sr, policy string
		key              hubwire.Identity
		want             hubwire.Identity
	}{
		{"a device, raw", host + "/devices/dev", "", dev, dev},
		{"a device, encoded", escape(host + "/devices/dev"), "", dev, dev},
		{"a module", escape(host + "/devices/dev/modules/$edgeHub"), "", module, module},
		{"a module, encoded twice", escape(escape(host + "/devices/dev/modules/$edgeHub")), "", module, module},
		{"an id that looks encoded, raw", host + "/devices/a%2Fb+c", "", odd, odd},
		{"an id that looks encoded, encoded", escape(host + "/devices/a%2Fb+c"), "", odd, odd},
		{"another's key", host + "/devices/dev", "", odd, hubwire.Identity{}},
		{"a policy", host + "/devices/dev", "device", dev, hubwire.Identity{}},
		{"no device", host, "", dev, hubwire.Identity{}},
		{"an unknown device", host + "/devices/x", "", dev, hubwire.Identity{}},
		{"another hub", "other.example/devices/dev", "", dev, hubwire.Identity{}},
		{"a path below a device", host + "/devices/dev/messages/events", "", dev, hubwire.Identity{}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			g, err := c.AuthenticateToken(ctx, "amqp", sas.NewSecret(token(keys[tc.key], tc.sr, soon(), tc.policy)))
			if tc.want == (hubwire.Identity{}) {
				wantCode(t, "AuthenticateToken", err, hubwire.Unauthorized)
			} else if err != nil || g.Identity != tc.want {
				t.Errorf("AuthenticateToken = %v, %v", g, err)
			}
		})
	}
}
