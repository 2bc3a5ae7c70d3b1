package device

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/errtext"
	"github.com/hubwire/hubwire/sas"
)

// CredentialsFromEdge returns what IoT Edge tells a module that it runs: who it is, the gateway to connect to, and
// tokens that IoT Edge signs, by its workload API; and the roots of the gateway's certificate, for
// [Options].TLSConfig. The module has no key of its own.
//
// getenv is asked for these variables; nil means [os.Getenv].
//
//	IOTEDGE_WORKLOADURI         the workload API: unix:///path or http://host:port
//	IOTEDGE_IOTHUBHOSTNAME      Credentials.HostName
//	IOTEDGE_GATEWAYHOSTNAME     Credentials.GatewayHostName; may be missing
//	IOTEDGE_DEVICEID            Credentials.Identity
//	IOTEDGE_MODULEID
//	IOTEDGE_MODULEGENERATIONID  for the signatures
//	IOTEDGE_AUTHSCHEME          sasToken
//	IOTEDGE_APIVERSION          of the workload API; 2018-06-28 when it is missing
//
// Where EdgeHubConnectionString is set, for development, it is used instead, with the PEM file that
// EdgeModuleCACertificateFile names; without that file the roots are nil, which means the system's.
//
// Every error is a [*hubwire.Error]: [hubwire.ArgumentInvalid] names the variable that is missing or wrong, any
// other is that the workload API does not answer, and Retryable. The context bounds the question for the
// roots. A signature that the workload API refuses (a status of 4xx) ends the Client; any other trouble with it is
// tried again.
//
// Source: IoT Edge, edgelet's workload API, and the environment of modules as the official SDKs read it.
func CredentialsFromEdge(ctx context.Context, getenv func(string) string) (Credentials, *x509.CertPool, error) {
	const op = "edge"
	if ctx == nil {
		return Credentials{}, nil, noContext(op)
	}
	if getenv == nil {
		getenv = os.Getenv
	}
	if s := getenv("EdgeHubConnectionString"); s != "" {
		return developmentEdge(s, getenv("EdgeModuleCACertificateFile"))
	}
	for _, name := range []string{
		"IOTEDGE_WORKLOADURI", "IOTEDGE_IOTHUBHOSTNAME", "IOTEDGE_DEVICEID", "IOTEDGE_MODULEID", "IOTEDGE_MODULEGENERATIONID", "IOTEDGE_AUTHSCHEME",
	} {
		if getenv(name) == "" {
			return Credentials{}, nil, invalid(op, "%s is not set, as IoT Edge does for the modules that it runs", name)
		}
	}
	if scheme := getenv("IOTEDGE_AUTHSCHEME"); !strings.EqualFold(scheme, "sasToken") {
		return Credentials{}, nil, invalid(op, "IOTEDGE_AUTHSCHEME is %.40q, not sasToken", scheme)
	}
	w, err := newWorkload(getenv)
	if err != nil {
		return Credentials{}, nil, err
	}
	c := Credentials{
		HostName: getenv("IOTEDGE_IOTHUBHOSTNAME"), GatewayHostName: getenv("IOTEDGE_GATEWAYHOSTNAME"),
		Identity: hubwire.Identity{DeviceID: getenv("IOTEDGE_DEVICEID"), ModuleID: getenv("IOTEDGE_MODULEID")},
		Tokens:   &sas.Source{Signer: w},
	}
	if err := c.check(); err != nil {
		return Credentials{}, nil, withOp(op, err)
	}
	roots, err := w.trustBundle(ctx)
	if err != nil {
		return Credentials{}, nil, withOp(op, err)
	}
	return c, roots, nil
}

func developmentEdge(connectionString, caFile string) (Credentials, *x509.CertPool, error) {
	c, err := CredentialsFromConnectionString(connectionString)
	if err != nil || caFile == "" {
		return c, nil, err
	}
	text, err := os.ReadFile(caFile)
	if err != nil {
		e := invalid("edge", "EdgeModuleCACertificateFile")
		e.Err = err
		return Credentials{}, nil, e
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return Credentials{}, nil, invalid("edge", "EdgeModuleCACertificateFile has no certificate")
	}
	return c, roots, nil
}

// workload is the workload API of IoT Edge, of which a module uses two calls. It is a [sas.Signer]. No connection
// outlasts a call.
type workload struct {
	base    string // http://host, without a slash at its end
	sign    string // path of the signature
	query   string
	network *http.Transport
}

// Bounds of what the workload API says, and of how long it may take.
const (
	maxWorkloadAnswer = 1 << 20
	workloadTimeout   = 30 * time.Second
)

func newWorkload(getenv func(string) string) (*workload, error) {
	w := &workload{
		sign: "/modules/" + url.PathEscape(getenv("IOTEDGE_MODULEID")) +
			"/genid/" + url.PathEscape(getenv("IOTEDGE_MODULEGENERATIONID")) + "/sign",
		query:   "?api-version=" + url.QueryEscape(cmp.Or(getenv("IOTEDGE_APIVERSION"), "2018-06-28")),
		network: &http.Transport{DisableKeepAlives: true, DisableCompression: true},
	}
	uri, err := url.Parse(getenv("IOTEDGE_WORKLOADURI"))
	switch {
	case err == nil && uri.Scheme == "unix" && uri.Path != "":
		w.base = "http://workload" // any name will do
		w.network.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", uri.Path)
		}
	case err == nil && uri.Scheme == "http" && uri.Host != "":
		w.base = "http://" + uri.Host + strings.TrimSuffix(uri.EscapedPath(), "/")
	default:
		return nil, invalid("edge", "IOTEDGE_WORKLOADURI is neither unix:///path nor http://host:port")
	}
	return w, nil
}

// Sign implements [sas.Signer] with the module's primary key.
func (w *workload) Sign(ctx context.Context, dst, data []byte) ([]byte, error) {
	body, err := json.Marshal(struct {
		KeyID string `json:"keyId"`
		Algo  string `json:"algo"`
		Data  []byte `json:"data"` // base64
	}{"primary", "HMACSHA256", data})
	if err != nil {
		return dst, err // cannot be
	}
	var answer struct {
		Digest []byte `json:"digest"`
	}
	if err := w.ask(ctx, http.MethodPost, w.sign, body, &answer); err != nil {
		return dst, err
	}
	if len(answer.Digest) != sha256.Size {
		return dst, edgeTrouble(fmt.Errorf("a signature of %d bytes", len(answer.Digest)))
	}
	return append(dst, answer.Digest...), nil
}

// trustBundle returns the roots of the gateway's certificate.
func (w *workload) trustBundle(ctx context.Context) (*x509.CertPool, error) {
	var answer struct {
		Certificate string `json:"certificate"`
	}
	if err := w.ask(ctx, http.MethodGet, "/trust-bundle", nil, &answer); err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(answer.Certificate)) {
		return nil, edgeTrouble(errors.New("a trust bundle without a certificate"))
	}
	return roots, nil
}

func (w *workload) ask(ctx context.Context, method, path string, body []byte, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, workloadTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, w.base+path+w.query, bytes.NewReader(body))
	if err != nil {
		return edgeTrouble(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := w.network.RoundTrip(r)
	if err != nil {
		return edgeTrouble(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxWorkloadAnswer))
	if err != nil {
		return edgeTrouble(err)
	}
	if res.StatusCode != http.StatusOK {
		var said struct {
			Message string `json:"message"`
		}
		_ = json.Unmarshal(text, &said) // else there is the status
		e := edgeTrouble(fmt.Errorf("%s %s", res.Status, errtext.Line(said.Message)))
		e.Outcome, e.Retryable = hubwire.Refused, res.StatusCode >= 500
		return e
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return edgeTrouble(err)
	}
	return nil
}

// edgeTrouble is an error of the workload API that can pass.
func edgeTrouble(err error) *hubwire.Error {
	return &hubwire.Error{Op: "edge", Outcome: hubwire.NotSent, Retryable: true, Message: "IoT Edge's workload API", Err: err}
}
