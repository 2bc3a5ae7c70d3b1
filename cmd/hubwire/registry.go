package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

// registry is a hub's identity registry over its REST API: as much of it as
// this program needs to have devices.
// Source: "IoT Hub service REST", Devices and Modules, api-version 2021-04-12.
type registry struct {
	host   string
	tokens sas.TokenSource
	client *http.Client
}

const (
	apiVersion      = "2021-04-12"
	registryTimeout = 30 * time.Second // of a request
	maxAnswer       = 1 << 20          // bytes of an answer
	registryConns   = 16               // kept open
)

// newRegistry returns the registry of cs's hub. Its connections end with close.
func newRegistry(cs *sas.ConnectionString, way *reach) (*registry, error) {
	if cs.Kind != sas.KindService {
		return nil, fmt.Errorf("the connection string is for a %v, not for a service (a shared access policy of the hub)", cs.Kind)
	}
	key, host, err := keyOf(cs)
	if err != nil {
		return nil, err
	}
	return &registry{
		host:   host,
		tokens: &sas.Source{Signer: key, Policy: cs.SharedAccessKeyName},
		client: &http.Client{
			Transport: &http.Transport{DialContext: way.dial, TLSClientConfig: way.tls, MaxIdleConnsPerHost: registryConns},
			Timeout:   registryTimeout,
		},
	}, nil
}

func (r *registry) close() { r.client.CloseIdleConnections() }

// identityRecord is what the REST API says and is told of a device or module.
type identityRecord struct {
	DeviceID       string         `json:"deviceId"`
	ModuleID       string         `json:"moduleId,omitempty"`
	Authentication authentication `json:"authentication"`
}

// authentication is by key when Type is "sas" (empty keys: the hub makes them), by
// thumbprint when it is "selfSigned", and by a verified authority when it is "certificateAuthority".
type authentication struct {
	Type         string      `json:"type"`
	SymmetricKey *keyPair    `json:"symmetricKey,omitempty"`
	Thumbprints  *thumbprint `json:"x509Thumbprint,omitempty"`
}

type keyPair struct {
	Primary   string `json:"primaryKey"`
	Secondary string `json:"secondaryKey"`
}

type thumbprint struct {
	Primary string `json:"primaryThumbprint"`
}

// byKey lets the hub make keys.
var byKey = authentication{Type: "sas", SymmetricKey: &keyPair{}}

// create registers an identity and returns its connection string.
func (r *registry) create(ctx context.Context, id hubwire.Identity, auth authentication) (string, error) {
	return r.identity(ctx, http.MethodPut, id, &identityRecord{DeviceID: id.DeviceID, ModuleID: id.ModuleID, Authentication: auth})
}

// get returns the connection string of a registered identity.
func (r *registry) get(ctx context.Context, id hubwire.Identity) (string, error) {
	return r.identity(ctx, http.MethodGet, id, nil)
}

// ensure returns the connection string of an identity, and registers it, and its
// device, when they are missing.
func (r *registry) ensure(ctx context.Context, id hubwire.Identity) (string, error) {
	s, err := r.get(ctx, id)
	switch {
	case id.IsModule() && errors.Is(err, hubwire.DeviceNotFound):
		if _, err := r.create(ctx, hubwire.Identity{DeviceID: id.DeviceID}, byKey); err != nil {
			return "", err
		}
	case errors.Is(err, hubwire.DeviceNotFound), errors.Is(err, hubwire.ModuleNotFound):
	default:
		return s, err
	}
	return r.create(ctx, id, byKey)
}

// remove removes an identity, and a device with its modules.
func (r *registry) remove(ctx context.Context, id hubwire.Identity) error {
	_, err := r.do(ctx, http.MethodDelete, id, nil)
	return err
}

func (r *registry) identity(ctx context.Context, method string, id hubwire.Identity, body *identityRecord) (string, error) {
	answer, err := r.do(ctx, method, id, body)
	if err != nil {
		return "", err
	}
	var rec identityRecord
	if err := json.Unmarshal(answer, &rec); err != nil {
		return "", fmt.Errorf("registry: the hub's answer is not what it should be: %w", err)
	}
	cs := sas.ConnectionString{Kind: sas.KindDevice, HostName: r.host, DeviceID: id.DeviceID, ModuleID: id.ModuleID}
	switch {
	case rec.Authentication.Type != "sas":
		cs.X509 = true
	case rec.Authentication.SymmetricKey != nil:
		cs.SharedAccessKey = sas.NewSecret(rec.Authentication.SymmetricKey.Primary)
	}
	return string(cs.AppendTo(nil)), nil
}

func (r *registry) do(ctx context.Context, method string, id hubwire.Identity, body *identityRecord) ([]byte, error) {
	if err := id.Check(); err != nil {
		return nil, err
	}
	var payload []byte
	if body != nil {
		var err error
		if payload, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, r.url(id), bytes.NewReader(payload))
	if err != nil {
		return nil, err
	}
	token, _, err := r.tokens.Token(ctx, r.host)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	if method == http.MethodDelete {
		req.Header.Set("If-Match", "*")
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	if resp.StatusCode >= 300 {
		return nil, refusal(method, resp, answer)
	}
	return answer, nil
}

func (r *registry) url(id hubwire.Identity) string {
	path := "/devices/" + url.PathEscape(id.DeviceID)
	if id.IsModule() {
		path += "/modules/" + url.PathEscape(id.ModuleID)
	}
	return "https://" + r.host + path + "?api-version=" + apiVersion
}

// registryCodes are the codes that are told apart here; of others the status is.
var registryCodes = []hubwire.Code{
	hubwire.DeviceNotFound, hubwire.ModuleNotFound, hubwire.DeviceAlreadyExists, hubwire.ModuleAlreadyExists,
	hubwire.Unauthorized, hubwire.UnauthorizedAccess, hubwire.ArgumentInvalid, hubwire.Throttled,
}

// refusal reads the service's error: the name of its code from the header
// iothub-errorcode, its text from the member Message.
func refusal(method string, resp *http.Response, answer []byte) error {
	e := &hubwire.Error{Op: "registry " + method, Code: hubwire.Code(resp.StatusCode * 1000), Outcome: hubwire.Refused}
	for _, c := range registryCodes {
		if c.Name() == resp.Header.Get("iothub-errorcode") {
			e.Code = c
		}
	}
	e.Retryable = e.Code.Retryable()
	var body struct{ Message, ExceptionMessage string }
	if json.Unmarshal(answer, &body) == nil {
		e.Message, e.TrackingID = printable(body.Message), printable(body.ExceptionMessage)
	}
	return e
}
