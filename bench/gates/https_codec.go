package main

import (
	"bufio"
	"net/http"
	"slices"
	"strings"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
)

// postedHead is a device's POST, with properties.
var postedHead = "POST /devices/dev-0001/messages/events?api-version=2020-03-13 HTTP/1.1\r\n" +
	"Host: myhub.azure-devices.net\r\n" +
	"Authorization: " + sasToken + "\r\n" +
	"User-Agent: device/1.0\r\n" +
	"Content-Type: application/json\r\n" +
	"Content-Length: 256\r\n" +
	"iothub-messageid: msg-0001\r\n" +
	"iothub-correlationid: corr-42\r\n" +
	"iothub-contenttype: application/json\r\n" +
	"iothub-contentencoding: utf-8\r\n" +
	"iothub-app-temperatureAlert: true\r\n" +
	"iothub-app-room: kitchen\r\n" +
	"iothub-app-level: 50\r\n" +
	"iothub-app-seq: 123456\r\n\r\n"

var postedMessage = &hubwire.Message{
	Body: payload(256), ID: "msg-0001", CorrelationID: "corr-42", ContentType: "application/json", ContentEncoding: "utf-8",
	Properties: []hubwire.Property{
		{Name: "level", Value: "50"},
		{Name: "room", Value: "kitchen"},
		{Name: "seq", Value: "123456"},
		{Name: "temperaturealert", Value: "true"},
	},
}

// httpsxRows: the floor is to look at each name and value once, in the map that net/http
// has made of them. The peer is what one writes with the standard library.
func httpsxRows() ([]*row, error) {
	var c checker
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(postedHead)))
	c.ok("the POST", err)
	if err != nil {
		return nil, c.err
	}
	w := &headerWork{header: req.Header, body: postedMessage.Body}
	m, err := httpsx.ParseMessage(w.header, w.body)
	c.ok("headers to a Message", err)
	c.equal("headers to a Message", m, postedMessage)
	c.equal("headers to a Message of the peer", messageByHand(w.header, w.body), postedMessage)
	return []*row{{
		name:  "headers of a POST to a Message, 4 properties",
		floor: &work{name: "range", run: w.walk},
		peer:  &work{name: "Header.Get, ToLower", run: w.byHand},
		ours:  &work{run: w.parse}, allocs: 4,
	}}, c.err
}

type headerWork struct {
	header http.Header
	body   []byte
}

func (w *headerWork) walk(n int) {
	for range n {
		sink.n = walk(w.header)
	}
}

func (w *headerWork) parse(n int) {
	var m *hubwire.Message
	for range n {
		m, _ = httpsx.ParseMessage(w.header, w.body)
	}
	sink.text = m.ID
}

func (w *headerWork) byHand(n int) {
	var m *hubwire.Message
	for range n {
		m = messageByHand(w.header, w.body)
	}
	sink.text = m.ID
}

// walk is the floor of whatever reads headers.
//
//go:noinline
func walk(h http.Header) (size int) {
	for name, values := range h {
		size += len(name)
		for _, v := range values {
			size += len(v)
		}
	}
	return size
}

// messageByHand knows fewer properties than httpsx: those of a device's telemetry.
func messageByHand(h http.Header, body []byte) *hubwire.Message {
	m := &hubwire.Message{
		Body: body, ID: h.Get("iothub-messageid"), CorrelationID: h.Get("iothub-correlationid"), UserID: h.Get("iothub-userid"),
		ContentType: h.Get("iothub-contenttype"), ContentEncoding: h.Get("iothub-contentencoding"),
	}
	for name, values := range h {
		if name, ok := strings.CutPrefix(strings.ToLower(name), "iothub-app-"); ok {
			for _, v := range values {
				m.Properties = append(m.Properties, hubwire.Property{Name: name, Value: v})
			}
		}
	}
	slices.SortFunc(m.Properties, func(a, b hubwire.Property) int { return strings.Compare(a.Name, b.Name) })
	return m
}
