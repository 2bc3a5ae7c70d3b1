package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// broker is a Mosquitto of the test's own: an MQTT server that nobody here
// wrote, with a door for TLS and one for WebSockets over TLS, on 127.0.0.1.
type broker struct {
	dir    string
	caFile string
	roots  *x509.CertPool
	doors  atomic.Pointer[map[string]string] // "tls" and "wss" to host:port
	log    *brokerLog                        // of the present run
	stop   func()
}

// The user that the broker knows. What begins with "secret/" is not for it.
const brokerUser, brokerPassword = "stranger", "open sesame"

// brokerMaxPacket is the largest packet that the broker takes, in bytes.
const brokerMaxPacket = 400_000

func startBroker(t *testing.T) *broker {
	t.Helper()
	b := &broker{dir: t.TempDir(), roots: x509.NewCertPool()}
	b.caFile = writeCertificate(t, b.dir, b.roots)
	b.writeUsers(t)
	b.start(t)
	t.Cleanup(func() {
		b.stop()
		if t.Failed() {
			t.Logf("the broker's last words:\n%s", b.log)
		}
	})
	return b
}

// brokerProgram is where Debian has it, which is not on everybody's PATH.
func brokerProgram() string {
	if path, err := exec.LookPath("mosquitto"); err == nil {
		return path
	}
	return "/usr/sbin/mosquitto"
}

// start runs the broker on free ports, which can be taken before it listens.
func (b *broker) start(t *testing.T) {
	t.Helper()
	var complaint string
	for range 3 {
		if complaint = b.tryStart(t); complaint == "" {
			return
		}
	}
	t.Fatalf("mosquitto: %s (bash interop/run installs it)", complaint)
}

// tryStart returns why the broker did not come up, or "". The shell ends the
// broker, by its pid, when its own input ends: when stop is called, and when
// this process is no more.
func (b *broker) tryStart(t *testing.T) (complaint string) {
	t.Helper()
	doors := map[string]string{"tls": freePort(t), "wss": freePort(t)}
	config := filepath.Join(b.dir, "mosquitto.conf")
	writeFile(t, config, b.config(t, doors))
	b.log = newBrokerLog()
	cmd := exec.Command("sh", "-c", `"$0" -c "$1" & pid=$!; cat >/dev/null; kill $pid; wait $pid`, brokerProgram(), config)
	cmd.Stderr = b.log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b.stop = func() { in.Close(); cmd.Wait() }
	b.doors.Store(&doors)
	running := false
	poll(t, "mosquitto neither runs nor ends", func() bool {
		complaint, running = b.log.state()
		return complaint != "" || running
	})
	if !running {
		b.stop()
	}
	return complaint
}

// restart is a broker that comes back, elsewhere, and remembers nothing.
func (b *broker) restart(t *testing.T) {
	t.Helper()
	b.stop()
	b.start(t)
}

func (b *broker) config(t *testing.T, doors map[string]string) string {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	plugins, err := filepath.Glob("/usr/lib/*/mosquitto_dynamic_security.so")
	if err != nil || len(plugins) != 1 {
		t.Fatalf("mosquitto's plugin for users is not there (bash interop/run installs it): %q, %v", plugins, err)
	}
	var c strings.Builder
	fmt.Fprintf(&c, "user %s\npersistence false\nlog_dest stderr\nlog_type all\nallow_anonymous false\n", me.Username)
	fmt.Fprintf(&c, "max_inflight_messages %d\nmax_queued_messages 0\nmax_packet_size %d\n", brokerWindow, brokerMaxPacket)
	fmt.Fprintf(&c, "plugin %s\nplugin_opt_config_file %s\n", plugins[0], filepath.Join(b.dir, "users.json"))
	for _, way := range []string{"tls", "wss"} {
		_, port, _ := net.SplitHostPort(doors[way])
		fmt.Fprintf(&c, "listener %s 127.0.0.1\nsocket_domain ipv4\ncertfile %s\nkeyfile %s\n",
			port, b.caFile, filepath.Join(b.dir, "key.pem"))
		if way == "wss" {
			c.WriteString("protocol websockets\n")
		}
	}
	return c.String()
}

// brokerWindow is how many messages the broker sends before it has a PUBACK.
const brokerWindow = 20

// writeUsers tells the plugin who may come, and what for. Its files with access
// lists let everybody subscribe to everything; this one refuses, with SUBACK 0x80.
func (b *broker) writeUsers(t *testing.T) {
	t.Helper()
	salt := []byte("twelve bytes")
	const rounds = 101
	hash, err := pbkdf2.Key(sha512.New, brokerPassword, salt, rounds, sha512.Size)
	if err != nil {
		t.Fatal(err)
	}
	type object = map[string]any
	text, err := json.Marshal(object{
		"defaultACLAccess": object{"publishClientSend": true, "publishClientReceive": true, "subscribe": true, "unsubscribe": true},
		"clients":          []object{{"username": brokerUser, "password": hash, "salt": salt, "iterations": rounds, "roles": []object{{"rolename": "guest"}}}},
		"roles":            []object{{"rolename": "guest", "acls": []object{{"acltype": "subscribePattern", "topic": "secret/#", "allow": false}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(b.dir, "users.json"), string(text))
}

// writeCertificate makes a certificate for 127.0.0.1 that is its own authority, adds it to
// roots, and returns its file. Its key is beside it, in key.pem.
func writeCertificate(t *testing.T, dir string, roots *x509.CertPool) (certFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile = filepath.Join(dir, "cert.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	writeFile(t, certFile, string(cert))
	writeFile(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	roots.AppendCertsFromPEM(cert)
	return certFile
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// freePort returns an address of 127.0.0.1 where nobody listened a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (b *broker) door(way string) string { return (*b.doors.Load())[way] }

func (b *broker) tls() *tls.Config { return &tls.Config{RootCAs: b.roots} }
