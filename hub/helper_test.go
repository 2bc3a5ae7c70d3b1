package hub_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/sas"
)

var (
	dev   = hubwire.Identity{DeviceID: "dev-1"}
	other = hubwire.Identity{DeviceID: "dev-2"}
	mod   = hubwire.Identity{DeviceID: "dev-1", ModuleID: "mod"}
)

// token makes a SAS token the long way, so that these tests do not lean on the
// code that the hub verifies with.
func token(key hub.Secret, resource, policy string, expires time.Time) string {
	sr := url.QueryEscape(resource)
	se := strconv.FormatInt(expires.Unix(), 10)
	secret, err := base64.StdEncoding.DecodeString(key.Reveal())
	if err != nil {
		panic(err)
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(sr + "\n" + se))
	s := "SharedAccessSignature sr=" + sr + "&sig=" + url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil))) + "&se=" + se
	if policy != "" {
		s += "&skn=" + policy
	}
	return s
}

// policyKey returns the key in a policy's connection string.
func policyKey(t testing.TB, h *hub.Hub, policy string) hub.Secret {
	t.Helper()
	cs, err := h.PolicyConnectionString(policy)
	if err != nil {
		t.Fatal(err)
	}
	_, key, ok := strings.Cut(cs, "SharedAccessKey=")
	if !ok {
		t.Fatal("the connection string has no key")
	}
	return sas.NewSecret(key)
}

// create registers identities.
func create(t testing.TB, h *hub.Hub, ids ...hubwire.Identity) {
	t.Helper()
	for _, id := range ids {
		if _, err := h.Create(t.Context(), &hub.Device{Identity: id}); err != nil {
			t.Fatal(err)
		}
	}
}

// webClient returns an HTTP client of the hub that dials in memory.
func webClient(t testing.TB, h *hub.Hub) *http.Client {
	tr := &http.Transport{DialContext: h.Dial, TLSClientConfig: h.ClientTLS()}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// dialTLS opens a TLS connection to a door of the hub, in memory.
func dialTLS(t testing.TB, h *hub.Hub, port string, adapt func(*tls.Config)) *tls.Conn {
	t.Helper()
	nc, err := h.Dial(t.Context(), "tcp", net.JoinHostPort("localhost", port))
	if err != nil {
		t.Fatal(err)
	}
	cfg := h.ClientTLS()
	cfg.ServerName = "localhost"
	if adapt != nil {
		adapt(cfg)
	}
	c := tls.Client(nc, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		t.Fatalf("TLS: %v", err)
	}
	t.Cleanup(func() { nc.Close() })
	return c
}
