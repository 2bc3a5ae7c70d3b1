// Package httpsx speaks the REST API of Azure IoT Hub, both ends of it: the device endpoint and
// the service API, over net/http's types and with no connection of its own.
//
//   - [Operation] is what can be asked for. One table has for each its method, path and statuses.
//   - [Request] is a request: a client makes an [net/http.Request] of it, and a server reads it from one ([ReadRequest]).
//   - [Answer] is an answer: a server writes it, and a client reads it ([ReadAnswer]).
//   - [Device], [Twin], [Job] and the others are the documents in their bodies. [Marshal] and [Decode] are their codec.
//   - Errors are [*github.com/hubwire/hubwire.Error], which [AppendError] writes and [ParseError] reads.
//
// A request from end to end, where client is any [net/http.Client]:
//
//	r := httpsx.Request{Op: httpsx.GetTwin, Target: httpsx.Target{Identity: hubwire.Identity{DeviceID: "pump"}}}
//	req, err := r.NewHTTP(ctx, "myhub.azure-devices.net")
//	req.Header.Set("Authorization", token) // see package sas
//	resp, err := client.Do(req)
//	a, err := httpsx.ReadAnswer(r.Op, resp)
//	var twin httpsx.Twin
//	err = a.Decode(r.Op, &twin)
//
// Package service does that for all operations, with retries, and device for those of a device: this package is
// for who wants neither, or writes a server. The Example of [ReadRequest] is one.
//
// Keys and the URLs of containers do not print: fmt, log/slog and encoding/json show "(secret)".
// Marshal writes them.
//
// Source: the REST references "IoT Hub service" and "IoT Hub device", api-version 2021-04-12, and
// the official SDKs, whose every spelling of a request is read and whose every need of an answer
// is met. HTTP/1.1 only: the C SDK looks for names of headers with their case, which HTTP/2 does
// not keep.
package httpsx
