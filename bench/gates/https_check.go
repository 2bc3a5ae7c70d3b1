package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"sync"
)

// samePosts checks that all clients send the same: but for the token, whose time may differ.
func samePosts() error {
	var c checker
	var want []byte
	for _, of := range []struct {
		name string
		role role
	}{{"net/http", netHTTPRole}, {"the raw client", httpsRawRole}, {"device", httpsSendersRole}} {
		got, err := firstPost(of.role)
		c.ok("POST of "+of.name, err)
		if want == nil {
			want = got
		}
		c.equal("POST of "+of.name, string(got), string(want))
	}
	return c.err
}

// what differs between clients: the time in a token, with its signature, and the name.
var ofClient = regexp.MustCompile(`(?m)^(Authorization|User-Agent): .*$`)

// firstPost returns the first telemetry that a client sends, as it is on the wire.
func firstPost(r role) ([]byte, error) {
	l, d, err := listenTLS()
	if err != nil {
		return nil, err
	}
	defer l.Close()
	ear := &eavesdropper{Listener: l}
	go http.Serve(ear, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	a, err := r(setup{Door: d, TLS: true})
	if err != nil {
		return nil, err
	}
	if err := a.run(1); err != nil {
		return nil, err
	}
	all := ear.heard()
	at := bytes.LastIndex(all, []byte("POST /devices/"+identity.DeviceID+"/messages/events?"))
	if at < 0 {
		return nil, fmt.Errorf("there is no telemetry in %q", all)
	}
	return ofClient.ReplaceAll(all[at:], []byte("$1: …\r")), nil
}

// eavesdropper keeps what its connections read.
type eavesdropper struct {
	net.Listener
	mu  sync.Mutex
	all bytes.Buffer
}

func (e *eavesdropper) Accept() (net.Conn, error) {
	nc, err := e.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &overheard{nc.(*tls.Conn), e}, nil
}

func (e *eavesdropper) heard() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return bytes.Clone(e.all.Bytes())
}

type overheard struct {
	*tls.Conn
	by *eavesdropper
}

func (o *overheard) Read(b []byte) (int, error) {
	n, err := o.Conn.Read(b)
	o.by.mu.Lock()
	defer o.by.mu.Unlock()
	o.by.all.Write(b[:n])
	return n, err
}
