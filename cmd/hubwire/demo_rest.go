package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/sas"
)

// rest is the part of the REST API that package service leaves out: messages to
// devices, which IoT Hub takes over AMQP only, and their feedback, which it is
// not documented to give over HTTP. The embedded hub has both.
type rest struct {
	host   string
	tokens sas.TokenSource
	client *http.Client
}

func newREST(owner string, way *reach) (*rest, error) {
	cs, err := sas.ParseConnectionString(owner)
	if err != nil {
		return nil, err
	}
	key, host, err := keyOf(cs)
	if err != nil {
		return nil, err
	}
	return &rest{
		host:   host,
		tokens: &sas.Source{Signer: key, Policy: cs.SharedAccessKeyName},
		client: &http.Client{Transport: &http.Transport{DialContext: way.dial, TLSClientConfig: way.tls}},
	}, nil
}

func (r *rest) close() { r.client.CloseIdleConnections() }

// ask sends a request, with m in its headers when that is not nil, and reads the answer.
func (r *rest) ask(ctx context.Context, q *httpsx.Request, m *hubwire.Message) (*httpsx.Answer, error) {
	req, err := q.NewHTTP(ctx, r.host)
	if err != nil {
		return nil, err
	}
	if m != nil {
		httpsx.SetMessage(req.Header, m)
	}
	token, _, err := r.tokens.Token(ctx, r.host)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", token)
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return httpsx.ReadAnswer(q.Op, resp)
}

// sendC2D sends a message to a device.
func (r *rest) sendC2D(ctx context.Context, to hubwire.Identity, m *hubwire.Message) error {
	_, err := r.ask(ctx, &httpsx.Request{Op: httpsx.SendC2D, Target: httpsx.Target{Identity: to}, Body: m.Body}, m)
	return err
}

// feedback waits until there is feedback, and takes it off the queue.
func (r *rest) feedback(ctx context.Context) ([]httpsx.FeedbackRecord, error) {
	for {
		a, err := r.ask(ctx, &httpsx.Request{Op: httpsx.ReceiveFeedback}, nil)
		if err != nil {
			return nil, err
		}
		if a.Status == http.StatusNoContent {
			if err := pause(ctx, 20*time.Millisecond); err != nil {
				return nil, err
			}
			continue
		}
		var records []httpsx.FeedbackRecord
		if err := a.Decode(httpsx.ReceiveFeedback, &records); err != nil {
			return nil, err
		}
		_, err = r.ask(ctx, &httpsx.Request{Op: httpsx.CompleteFeedback, Target: httpsx.Target{Name: a.ETag}}, nil)
		// With a device goes what was to be said of it, also when it is read already.
		if err != nil && !errors.Is(err, hubwire.MessageLockLost) {
			return nil, fmt.Errorf("completing feedback: %w", err)
		}
		return records, nil
	}
}
