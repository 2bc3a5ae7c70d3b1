package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/sas"
)

// posters is how many requests are under way at a time, each on a connection of its own.
const posters = 64

// postMessage is the message that all POSTs are made of.
var postMessage = &hubwire.Message{Body: payload(256), ID: "msg-0001", ContentType: "application/json"}

// host is what the clients of s call their server.
func (s setup) host() string {
	if s.Door.Host != "" {
		return s.Door.Host
	}
	return serverName
}

// token is one of the device.
func (s setup) token() (string, error) { return s.tokenOf(identity) }

func (s setup) tokenOf(id hubwire.Identity) (string, error) {
	return s.tokenUntil(time.Now().Add(time.Hour), id)
}

func (s setup) tokenUntil(expires time.Time, id hubwire.Identity) (string, error) {
	key, err := sas.NewKey(sas.NewSecret(sasKey))
	if err != nil {
		return "", err
	}
	token, err := sas.AppendToken(context.Background(), nil, key, sas.Audience(s.host(), id), "", expires)
	return string(token), err
}

// post returns the request that device makes of postMessage, without its body.
func (s setup) post() (*http.Request, error) {
	token, err := s.token()
	if err != nil {
		return nil, err
	}
	req, err := (&httpsx.Request{Op: httpsx.SendTelemetry, Target: httpsx.Target{Identity: identity}}).NewHTTP(context.Background(), s.host())
	if err != nil {
		return nil, err
	}
	httpsx.SetMessage(req.Header, postMessage)
	req.Header["User-Agent"] = []string{"hubwire"}
	req.Header["Authorization"] = []string{token}
	return req, nil
}

// httpTransport is net/http's, to the server of s, for so many connections.
func (s setup) httpTransport(connections int) (*http.Transport, error) {
	cfg, err := s.Door.clientTLS()
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		DialContext:         s.dialTCP,
		TLSClientConfig:     cfg,
		MaxConnsPerHost:     connections,
		MaxIdleConnsPerHost: connections,
		DisableCompression:  true,
	}, nil
}

// netHTTPRole is the bare client of net/http: a request for each message, whose headers are
// the same map each time.
func netHTTPRole(s setup) (*actor, error) {
	post, err := s.post()
	if err != nil {
		return nil, err
	}
	transport, err := s.httpTransport(posters)
	if err != nil {
		return nil, err
	}
	client, url := &http.Client{Transport: transport}, post.URL.String()
	return posting(func() error {
		req, err := http.NewRequest(post.Method, url, bytes.NewReader(postMessage.Body))
		if err != nil {
			return err
		}
		req.Header = post.Header
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusNoContent {
			return fmt.Errorf("POST: status %d, %w", resp.StatusCode, err)
		}
		return nil
	}), nil
}

// posting makes an actor that calls f in as many goroutines as there are posters.
func posting(f func() error) *actor {
	var done atomic.Int64
	return &actor{count: done.Load, run: func(n int) error {
		return together(posters, n, func() error {
			err := f()
			if err == nil {
				done.Add(1)
			}
			return err
		})
	}}
}

// dialHTTPS connects a device client over HTTPS.
func (s setup) dialHTTPS(over *device.HTTPSOptions) (*device.Client, error) {
	o, err := s.deviceOptions()
	if err != nil {
		return nil, err
	}
	return s.dialAs(identity, device.HTTPS(over), o)
}

// httpsSendersRole is device.Send in as many goroutines as there are posters.
func httpsSendersRole(s setup) (*actor, error) {
	c, err := s.dialHTTPS(&device.HTTPSOptions{Connections: posters})
	if err != nil {
		return nil, err
	}
	return posting(func() error { return c.Send(context.Background(), postMessage) }), nil
}

// httpsAsyncRole is one producer that does not wait: what it sends goes in batches.
func httpsAsyncRole(s setup) (*actor, error) {
	c, err := s.dialHTTPS(nil)
	if err != nil {
		return nil, err
	}
	t := newTally()
	return &actor{count: t.count, run: func(n int) error {
		return t.wait(n, func() error { return c.SendAsync(context.Background(), postMessage, t.done) })
	}}, nil
}
