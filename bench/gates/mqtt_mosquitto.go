package main

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"time"
)

// mosquittoProgram is where the broker of that name is, or "".
func mosquittoProgram() string {
	for _, name := range []string{"mosquitto", "/usr/sbin/mosquitto"} { // Debian's place is not on everybody's PATH
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// mosquittoRole has Mosquitto serve, on the processor of this process.
func mosquittoRole(setup) (*actor, error) {
	dir, err := os.MkdirTemp("", "gates-mosquitto-")
	if err != nil {
		return nil, err
	}
	var d door
	for range 3 { // another program can take a port that was free a moment ago
		if d, err = startMosquitto(mosquittoProgram(), dir); err == nil {
			return &actor{door: d}, nil
		}
	}
	os.RemoveAll(dir)
	return nil, fmt.Errorf("mosquitto: %w", err)
}

// startMosquitto runs the broker until this process is gone: the shell waits for
// the end of its input, and tidies up.
func startMosquitto(program, dir string) (door, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return door{}, err
	}
	ca, err := writeKeyPair(dir)
	if err != nil {
		return door{}, err
	}
	tcp, err1 := freeAddr()
	tls, err2 := freeAddr()
	me, err3 := user.Current()
	if err := errors.Join(err1, err2, err3); err != nil {
		return door{}, err
	}
	conf := filepath.Join(dir, "conf")
	err = os.WriteFile(conf, fmt.Appendf(nil, `per_listener_settings false
allow_anonymous true
user %s
log_dest none
set_tcp_nodelay true
listener %d 127.0.0.1
listener %d 127.0.0.1
certfile %s
keyfile %s
`, me.Username, tcp.Port, tls.Port, filepath.Join(dir, "cert"), filepath.Join(dir, "key")), 0o600)
	if err != nil {
		return door{}, err
	}
	cmd := exec.Command("sh", "-c", `"$0" -c "$1/conf" & echo $!; cat >/dev/null; kill $!; wait $!; rm -r "$1"`, program, dir)
	input, err := cmd.StdinPipe()
	if err != nil {
		return door{}, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return door{}, err
	}
	if err := cmd.Start(); err != nil {
		return door{}, err
	}
	d := door{TCP: tcp.String(), TLS: tls.String(), CA: ca}
	_, err = fmt.Fscan(output, &d.Pid)
	if err = cmp.Or(err, listens(d.TCP), listens(d.TLS)); err != nil {
		input.Close()
		cmd.Wait()
		return d, err
	}
	go func() {
		io.Copy(io.Discard, output) // until the shell ends; its input is held open meanwhile
		input.Close()
	}()
	return d, nil
}

// writeKeyPair writes a server's certificate and key into dir, and returns who signed it.
func writeKeyPair(dir string) (ca []byte, err error) {
	cfg, ca, err := newServerTLS()
	if err != nil {
		return nil, err
	}
	key, err := x509.MarshalECPrivateKey(cfg.Certificates[0].PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		return nil, err
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key})
	return ca, errors.Join(os.WriteFile(filepath.Join(dir, "cert"), ca, 0o600), os.WriteFile(filepath.Join(dir, "key"), keyPEM, 0o600))
}

// freeAddr is a port of this machine that nobody has now.
func freeAddr() (*net.TCPAddr, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr), nil
}

// listens waits until somebody does at addr.
func listens(addr string) error {
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		var nc net.Conn
		if nc, err = net.Dial("tcp", addr); err == nil {
			return nc.Close()
		}
	}
	return err
}
