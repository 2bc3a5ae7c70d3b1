package interop

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/ws"
)

// TestRenegotiation has OpenSSL ask for a certificate in the middle of a connection, as the service does and no server of
// crypto/tls can.
func TestRenegotiation(t *testing.T) {
	wanted(t)
	testkit.LeakCheck(t)
	for _, with := range []string{"a token", "a certificate"} {
		t.Run("MQTT with "+with, func(t *testing.T) {
			s := startTLSServer(t)
			asked := make(chan bool, 1)
			cred := device.Credentials{HostName: "localhost", Identity: hubwire.Identity{DeviceID: "dev"}}
			if with == "a token" {
				cred.Tokens = staticToken("SharedAccessSignature sr=localhost&sig=x&se=9999999999")
			} else {
				cred.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					asked <- true
					return &s.cert, nil
				}
			}
			go func() { s.await("localhost/dev/"); s.say("\x20\x02\x00\x00") }()
			c, err := device.DialCredentials(within(t), cred, device.MQTT(nil), &device.Options{
				Dial: s.dial, TLSConfig: s.tls(),
				Hooks: &device.Hooks{State: func(_ device.State, reason error) {
					if reason != nil {
						t.Errorf("the connection was lost: %v", reason)
					}
				}},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			s.renegotiate()
			if with == "a certificate" {
				s.once(asked)
			}
			go func() { s.await("the message"); s.say("\x40\x02\x00\x01") }()
			if err := c.Send(within(t), &hubwire.Message{Body: []byte("the message")}); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("the upgrade to a WebSocket", func(t *testing.T) {
		s := startTLSServer(t)
		config, asked := s.tls(), make(chan bool, 1)
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked <- true
			return &s.cert, nil
		}
		go func() {
			sum := sha1.Sum([]byte(s.await(`(?i)Sec-WebSocket-Key: (\S+)`) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
			s.renegotiate()
			s.once(asked)
			s.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: mqtt\r\n" +
				"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n")
		}()
		nc, err := ws.Dial(within(t), "localhost", &ws.DialOptions{Dial: s.dial, TLSConfig: config})
		if err != nil {
			t.Fatal(err)
		}
		nc.Close()
	})
}

type staticToken string

func (s staticToken) Token(context.Context, string) (string, time.Time, error) {
	return string(s), time.Time{}, nil
}

// tlsServer is "openssl s_server", which sends what it reads, and writes what comes.
type tlsServer struct {
	t     *testing.T
	addr  string
	roots *x509.CertPool
	cert  tls.Certificate // the server's; it may be a client's as well
	in    io.Writer

	mu   sync.Mutex
	told bytes.Buffer
}

func startTLSServer(t *testing.T) *tlsServer {
	t.Helper()
	s := &tlsServer{t: t, addr: freePort(t), roots: x509.NewCertPool()}
	cert := writeCertificate(t, t.TempDir(), s.roots)
	key := filepath.Join(filepath.Dir(cert), "key.pem")
	var err error
	if s.cert, err = tls.LoadX509KeyPair(cert, key); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("openssl", "s_server", "-accept", s.addr, "-cert", cert, "-key", key, "-tls1_2", "-naccept", "1")
	cmd.Stdout = s
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatalf("openssl: %v (bash interop/run installs it)", err)
	}
	s.in = in
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // may have ended
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("openssl's last words:\n%s", &s.told)
		}
	})
	s.await("ACCEPT")
	return s
}

func (s *tlsServer) tls() *tls.Config { return &tls.Config{RootCAs: s.roots} }

func (s *tlsServer) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, s.addr)
}

func (s *tlsServer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told.Write(b)
}

// await waits until the server has written what matches, and returns what is in parentheses.
func (s *tlsServer) await(pattern string) (group string) {
	re := regexp.MustCompile(pattern)
	for ctx := within(s.t); ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		m := re.FindStringSubmatch(s.told.String())
		s.mu.Unlock()
		if m != nil {
			return m[len(m)-1]
		}
	}
	s.t.Errorf("openssl did not write %q", pattern)
	return ""
}

// say has the server send something, which must not begin with one of its commands.
func (s *tlsServer) say(text string) {
	if _, err := io.WriteString(s.in, text); err != nil {
		s.t.Error(err)
	}
}

// renegotiate has the server ask for another handshake, with the client's certificate.
func (s *tlsServer) renegotiate() {
	s.say("R\n")
	s.await("SSL_do_handshake -> 1")
}

// once waits for the client's certificate to be asked for.
func (s *tlsServer) once(asked <-chan bool) {
	select {
	case <-asked:
	case <-within(s.t).Done():
		s.t.Error("nobody asked for the certificate")
	}
}
