package hub_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hubwire/hubwire/hub"
)

// tokenText fills a token in: SR with sr as it stands, SE and SIG, which is over both, as escape writes it.
func tokenText(form, sr string, escape func(string) string, key hub.Secret) string {
	se := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	secret, err := base64.StdEncoding.DecodeString(key.Reveal())
	if err != nil {
		panic(err)
	}
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s\n%s", sr, se)
	return "SharedAccessSignature " + strings.NewReplacer("SR", sr, "SE", se, "SIG", escape(base64.StdEncoding.EncodeToString(mac.Sum(nil)))).Replace(form)
}

func lowerHex(s string) string {
	return strings.NewReplacer("+", "%2b", "/", "%2f", "=", "%3d").Replace(s)
}

// The tokens of the SDKs for a resource, each with its own order of fields and its own way to escape.
func tokenC(resource string) func(hub.Secret) string {
	return func(key hub.Secret) string { return tokenText("sr=SR&sig=SIG&se=SE&skn=", resource, lowerHex, key) }
}

func tokenJava(resource string) func(hub.Secret) string {
	return func(key hub.Secret) string {
		return tokenText("sig=SIG&se=SE&sr=SR", url.QueryEscape(resource), url.QueryEscape, key)
	}
}

func tokenNET(resource string) func(hub.Secret) string {
	return func(key hub.Secret) string {
		return tokenText("sr=SR&sig=SIG&se=SE", url.QueryEscape(resource), url.QueryEscape, key)
	}
}

// TestShapeTokens has the texts of tokens over each protocol.
func TestShapeTokens(t *testing.T) {
	const resource = "localhost/devices/dev-1"
	escaped := url.QueryEscape(resource)
	for name, form := range map[string]func(own, policy hub.Secret) string{
		"C":    func(own, _ hub.Secret) string { return tokenC(resource)(own) },
		"Java": func(own, _ hub.Secret) string { return tokenJava(resource)(own) },
		".NET": func(own, _ hub.Secret) string { return tokenNET(resource)(own) },
		"in lower-case hex": func(own, _ hub.Secret) string {
			return tokenText("sr=SR&sig=SIG&se=SE", lowerHex(resource), lowerHex, own)
		},
		"Embedded C, which ends in &skn=": func(own, _ hub.Secret) string {
			return tokenText("sr=SR&sig=SIG&se=SE&skn=", escaped, url.QueryEscape, own)
		},
		"the host in capitals": func(own, _ hub.Secret) string { return tokenC("LOCALHOST/devices/dev-1")(own) },
		"Node, by a policy": func(_, policy hub.Secret) string {
			return tokenText("sr=SR&sig=SIG&skn=device&se=SE", "localhost", url.QueryEscape, policy)
		},
		".NET, by a policy, for a device": func(_, policy hub.Secret) string {
			return tokenText("sr=SR&sig=SIG&se=SE&skn=device", escaped, url.QueryEscape, policy)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				d, err := h.Device(dev)
				if err != nil {
					t.Fatal(err)
				}
				text := form(d.PrimaryKey, policyKey(t, h, "device"))
				sdk := *mqttSDKs[0]
				sdk.token = func(hub.Secret) string { return text }
				sdk.connect(t, h, dialTLS(t, h, "8883", nil), 0)
				newWeb(t, h).ask("POST /devices/dev-1/messages/events?api-version=2020-09-30\nAuthorization: "+text, "x").want(t, 204)
				for _, sdk := range amqpSDKs {
					s := sdk.connect(t, h)
					s.putText(sdk.putName, text, "200")
				}
				s := newScript(t, &sdkServiceC, dialTLS(t, h, "5671", nil))
				if user := "dev-1@sas.localhost"; strings.Contains(name, "policy") {
					s.login([]byte("\x00device@sas.root.localhost\x00" + text))
				} else {
					s.login([]byte("\x00" + user + "\x00" + text))
				}
				s.link(0, false, "out", "/devices/dev-1/messages/events", 0, nil, nil, nil)
			})
		})
	}
}
