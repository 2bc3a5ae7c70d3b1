package device_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
)

// TestErrorsKeepLittleOfWhatAServerSays has one that says much before anybody knows who it is, or in the hub's place.
func TestErrorsKeepLittleOfWhatAServerSays(t *testing.T) {
	const secret, line = "sig=hush&", 30 << 10
	long := strings.Repeat(secret, line/len(secret))
	root := newAuthority(t, "root", nil)
	called := func(names ...string) *tls.Config {
		begin := time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)
		cert, key := sign(t, &x509.Certificate{DNSNames: names, NotBefore: begin, NotAfter: begin.AddDate(100, 0, 0)}, root)
		return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
	}
	says := func(text string) func(net.Conn) {
		return func(nc net.Conn) {
			c := tls.Server(nc, called("localhost"))
			go func() { io.WriteString(c, text) }()
			io.Copy(io.Discard, c)
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(root.cert)
	for name, serve := range map[string]func(net.Conn){
		"in its certificate": func(nc net.Conn) { tls.Server(nc, called("other\r\nname", long)).Handshake() },
		"in a status line":   says("HTTP/1.1 " + long + "\r\n\r\n"),
		"in a header":        says("HTTP/1.1 200 OK\r\n" + long + "\r\n\r\n"),
	} {
		for _, tr := range append(everywhere(), device.Auto(nil)) {
			t.Run(name+" over "+tr.String(), func(t *testing.T) {
				over(t, tr, hub.Config{}, func(t *testing.T, b *bench) {
					o := b.options(func(o *device.Options) {
						o.TLSConfig = &tls.Config{RootCAs: roots}
						o.Dial = func(ctx context.Context, _, addr string) (net.Conn, error) { return serving(serve)(ctx, addr) }
					})
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
					defer cancel()
					_, err := device.Dial(ctx, b.device, tr, o)
					texts := []string{fmt.Sprint(err)}
					doors, err := device.Probe(t.Context(), "localhost", []device.Transport{tr}, o)
					if err != nil {
						t.Fatal(err)
					}
					for _, d := range doors {
						texts = append(texts, d.Err.Error())
					}
					for _, text := range texts {
						if len(text) > 6000 || strings.Contains(text, "hush") || strings.ContainsAny(text, "\r\n") {
							t.Errorf("%d bytes: %.300q", len(text), text)
						}
					}
				})
			})
		}
	}
}
