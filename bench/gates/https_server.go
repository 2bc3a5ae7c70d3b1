package main

import (
	"io"
	"net/http"
	"sync/atomic"

	"github.com/hubwire/hubwire/httpsx"
)

// httpsSinkRole is the least that a handler of net/http can be: it reads the body and
// answers 204. Of requests it counts those that are telemetry.
func httpsSinkRole(setup) (*actor, error) {
	var messages atomic.Int64
	d, err := serveHTTPS(func(w http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); err == nil && n > 0 {
			messages.Add(1)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return &actor{door: d, count: messages.Load}, err
}

// httpsBatchSinkRole takes batches, and counts the messages in them.
func httpsBatchSinkRole(setup) (*actor, error) {
	var messages atomic.Int64
	d, err := serveHTTPS(func(w http.ResponseWriter, r *http.Request) {
		n, err := messagesIn(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		messages.Add(n)
		w.WriteHeader(http.StatusNoContent)
	})
	return &actor{door: d, count: messages.Load}, err
}

// messagesIn counts the messages of a request.
func messagesIn(r *http.Request) (n int64, err error) {
	body, err := io.ReadAll(r.Body)
	if err != nil || len(body) == 0 {
		return 0, err
	}
	if !httpsx.IsBatch(r.Header) {
		return 1, nil
	}
	for _, err := range httpsx.ParseBatch(body) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// serveHTTPS has net/http, as it comes, serve a handler over TLS, HTTP/1.1.
func serveHTTPS(handle http.HandlerFunc) (door, error) {
	l, d, err := listenTLS()
	if err != nil {
		return door{}, err
	}
	go http.Serve(l, handle)
	return d, nil
}

// httpsHubRole is a hub, seen from its HTTPS door. Nobody reads its events.
func httpsHubRole(setup) (*actor, error) {
	h, d, err := startHub(identity)
	if err != nil {
		return nil, err
	}
	d.TLS = h.HTTPSAddr()
	return &actor{door: d, count: (&recorded{hub: h}).count}, nil
}
