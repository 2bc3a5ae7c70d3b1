package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/sas"
)

// tagged is how many devices of a registry have the tag that is asked for.
const tagged = 100

// rare reports whether the i-th of n devices is one of them.
func rare(i, n int) bool { return i%(n/tagged) == n/tagged/2 }

// registryRole is a hub with as many devices as s says, each with a twin.
func registryRole(s setup) (*actor, error) {
	h, d, err := startHub()
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	for i := range s.Devices {
		id := fleetDevice(int64(i))
		if _, err := h.Create(ctx, &hub.Device{Identity: id, PrimaryKey: sas.NewSecret(sasKey), SecondaryKey: sas.NewSecret(sasKey)}); err != nil {
			return nil, err
		}
		u := hub.TwinUpdate{Tags: tagsOf(i, s.Devices), Desired: json.RawMessage(`{"interval":60,"led":{"on":true}}`)}
		if _, err := h.PatchTwin(ctx, id, u, ""); err != nil {
			return nil, err
		}
	}
	d.TLS, d.Uncounted = h.HTTPSAddr(), true
	if d.Service, err = h.PolicyConnectionString("iothubowner"); err != nil {
		return nil, err
	}
	runtime.GC() // what it took to make them is nobody's to pay for
	return &actor{door: d}, nil
}

func tagsOf(i, n int) json.RawMessage {
	more := ""
	if rare(i, n) {
		more = `,"rare":"yes"`
	}
	return fmt.Appendf(nil, `{"site":{"floor":%d,"building":"B%d"},"type":"sensor"%s}`, i%10, i%7, more)
}

// serviceToken is a token of the service for all of the hub that is called host.
func (s setup) serviceToken() (host, token string, err error) {
	cs, err := sas.ParseConnectionString(s.Door.Service)
	if err != nil {
		return "", "", err
	}
	tokens, err := cs.Tokens(0)
	if err != nil {
		return "", "", err
	}
	token, _, err = tokens.Token(context.Background(), cs.HostName)
	return cs.HostName, token, err
}

// serviceClient asks a hub for a service, with net/http alone, on one connection.
type serviceClient struct {
	transport *http.Transport
	host      string
	token     []string
}

func (s setup) newServiceClient() (*serviceClient, error) {
	_, token, err := s.serviceToken()
	if err != nil {
		return nil, err
	}
	c := &serviceClient{host: s.host(), token: []string{token}}
	c.transport, err = s.httpTransport(1)
	return c, err
}

// ask returns the body of the answer, and its header.
func (c *serviceClient) ask(r *httpsx.Request) ([]byte, http.Header, error) {
	req, err := r.NewHTTP(context.Background(), c.host)
	if err != nil {
		return nil, nil, err
	}
	req.Header["Authorization"] = c.token
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%v: status %d: %s", r.Op, resp.StatusCode, body)
	}
	return body, resp.Header, err
}

// registryReaderRole gets one device after the other, in no order.
func registryReaderRole(s setup) (*actor, error) {
	c, err := s.newServiceClient()
	if err != nil {
		return nil, err
	}
	var got atomic.Int64
	at := 0
	return &actor{count: got.Load, run: func(n int) error {
		for range n {
			at = (at + 61_813) % s.Devices // a prime, so all of them have their turn
			id := fleetDevice(int64(at))
			body, _, err := c.ask(&httpsx.Request{Op: httpsx.GetDevice, Target: httpsx.Target{Identity: id}})
			if err != nil {
				return err
			}
			if !bytes.Contains(body, []byte(`"deviceId":"`+id.DeviceID+`"`)) {
				return fmt.Errorf("%v is %s", id, body)
			}
			got.Add(1)
		}
		return nil
	}}, nil
}

// registryQueryRole asks for those that have the tag, over and over. What it counts are pages.
func registryQueryRole(s setup) (*actor, error) {
	c, err := s.newServiceClient()
	if err != nil {
		return nil, err
	}
	q := &rareQuery{client: c, devices: s.Devices}
	return &actor{
		count: q.pages.Load,
		worst: func() time.Duration { return q.worst },
		run: func(n int) error {
			q.worst = 0
			for range n {
				if err := q.page(); err != nil {
					return err
				}
			}
			return nil
		},
	}, nil
}

// rareQuery is where such a query is.
type rareQuery struct {
	client  *serviceClient
	devices int
	pages   atomic.Int64
	worst   time.Duration // of a page

	continuation string
	got          []string // ids of the pages so far
}

// page gets the next page; with the last one, all must have come.
func (q *rareQuery) page() error {
	begun := time.Now()
	body, header, err := q.client.ask(&httpsx.Request{
		Op: httpsx.Query, Continuation: q.continuation,
		Body: &httpsx.QueryText{Query: "SELECT * FROM devices WHERE tags.rare = 'yes'"},
	})
	if err != nil {
		return err
	}
	q.worst = max(q.worst, time.Since(begun))
	q.pages.Add(1)
	var twins []struct {
		DeviceID string `json:"deviceId"`
	}
	if err := json.Unmarshal(body, &twins); err != nil {
		return err
	}
	for _, t := range twins {
		q.got = append(q.got, t.DeviceID)
	}
	if q.continuation = header.Get("X-Ms-Continuation"); q.continuation != "" {
		return nil
	}
	defer func() { q.got = q.got[:0] }()
	return q.check()
}

// check holds all rows of a query, which are in the order of their ids, against what there is.
func (q *rareQuery) check() error {
	var c checker
	var want []string
	for i := range q.devices {
		if rare(i, q.devices) {
			want = append(want, fleetDevice(int64(i)).DeviceID)
		}
	}
	c.equal("devices with the tag", q.got, want)
	return c.err
}
