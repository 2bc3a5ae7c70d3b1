// Command t9b-x509 is the sample iothub_client_sample_x509: a device that shows a certificate in the place of a token,
// over MQTT and over AMQP. Its connection string says x509=true, and certificate and key are PEM files.
//
//	go run ./examples/t9b-x509
//
// It prints the connection string, in which there is no secret, and what came of each connection. Beside the sample, the certificate is rotated while the device goes on: it is read anew for each connection, and a
// certificate that nobody has registered is refused.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/examples/internal/site"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/service"
)

func main() { site.Main(play) }

const deviceID = "t9b-device"

func play(ctx context.Context, out io.Writer, s *site.Site) (err error) {
	dir, err := os.MkdirTemp("", "t9b-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	files := &pemFiles{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	first, err := files.renew()
	if err != nil {
		return err
	}
	registered := &service.Device{DeviceID: deviceID}
	registered.Authentication.Type = service.AuthenticateSelfSigned
	registered.Authentication.X509Thumbprint.Primary = first
	if registered, err = s.Service.CreateDevice(ctx, registered); err != nil {
		return err
	}
	defer s.Remove(ctx, deviceID, &err)
	cs := sas.ConnectionString{Kind: sas.KindDevice, HostName: s.Service.HostName(), DeviceID: deviceID, X509: true}
	connectionString := string(cs.AppendTo(nil))
	fmt.Fprintf(out, "device: %s\n", connectionString) // there is no secret in it
	cred, err := device.CredentialsFromConnectionString(connectionString)
	if err != nil {
		return err
	}
	cred.GetClientCertificate = files.read

	for _, t := range []device.Transport{device.MQTT(nil), device.AMQP(nil)} {
		if err := send(ctx, out, cred, t, s.Options()); err != nil {
			return err
		}
	}
	// The way to rotate: the new one becomes the second, and only when the device shows it is the first taken out.
	second, err := files.renew()
	if err != nil {
		return err
	}
	err = send(ctx, out, cred, device.MQTT(nil), s.Options())
	if !errors.Is(err, hubwire.Unauthorized) {
		return fmt.Errorf("a certificate that nobody has registered ended with %w", err)
	}
	fmt.Fprintln(out, "device: a certificate that is not registered is refused")
	registered.Authentication.X509Thumbprint.Secondary = second
	if _, err := s.Service.UpdateDevice(ctx, registered, registered.ETag); err != nil {
		return err
	}
	fmt.Fprintln(out, "service: the new certificate is registered beside the old one")
	for _, t := range []device.Transport{device.MQTT(nil), device.AMQP(nil)} {
		if err := send(ctx, out, cred, t, s.Options()); err != nil {
			return err
		}
	}
	return nil
}

// send connects with the certificate that the files hold now, and sends a message.
func send(ctx context.Context, out io.Writer, cred device.Credentials, t device.Transport, o *device.Options) error {
	c, err := device.DialCredentials(ctx, cred, t, o)
	if err != nil {
		return err
	}
	err = c.Send(ctx, &hubwire.Message{ID: "message_1", Body: []byte(`{"temperature":21}`)})
	if err == nil {
		fmt.Fprintf(out, "device: sent a message over %v: OK\n", t)
	}
	return errors.Join(err, c.Close())
}

// pemFiles are a certificate and its private key.
type pemFiles struct{ cert, key string }

// read is asked for each connection: what has been replaced is shown by the next.
func (f *pemFiles) read(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(f.cert, f.key)
	return &cert, err
}

// renew writes a new certificate, and returns its thumbprint.
func (f *pemFiles) renew() (thumbprint string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: deviceID},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return "", err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), errors.Join(
		os.WriteFile(f.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(f.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
	)
}
