package device

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/errtext"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/topics"
)

// A greeting is the least that a protocol's server answers to somebody without
// credentials. It changes nothing on the hub.

// nobody is who asks: a device that need not be there.
var nobody = hubwire.Identity{DeviceID: product + "-probe"}

// errOther is about an answer that is not in the protocol's words.
var errOther = errors.New("device: something else answers")

// greetMQTT says CONNECT without a password, which any CONNACK answers.
func greetMQTT(nc net.Conn, host string) error {
	hello := mqtt.Connect{
		ClientID: []byte(nobody.String()), CleanSession: true,
		UserName: topics.AppendUserName(nil, &topics.UserName{Host: host, Identity: nobody, APIVersion: apiVersion, ClientType: product}),
	}
	if _, err := nc.Write(hello.AppendTo(nil)); err != nil {
		return err
	}
	answer := make([]byte, 4)
	if n, err := io.ReadFull(nc, answer); err != nil {
		return noGreeting(answer[:n], err)
	}
	if _, err := mqtt.ParseConnack(answer); err != nil {
		return fmt.Errorf("%w: %.40q", errOther, answer)
	}
	return nil
}

// greetAMQP says that it wants SASL, and the server that it has it, or what else it wants
// (AMQP 1.0 part 2, 2.2, and part 5, 5.3.1):
//
//	"AMQP" | protocol id | 1 | 0 | 0
func greetAMQP(nc net.Conn, _ string) error {
	if _, err := nc.Write([]byte("AMQP\x03\x01\x00\x00")); err != nil {
		return err
	}
	answer := make([]byte, 8)
	if n, err := io.ReadFull(nc, answer); err != nil {
		return noGreeting(answer[:n], err)
	}
	if !bytes.HasPrefix(answer, []byte("AMQP")) {
		return fmt.Errorf("%w: %.40q", errOther, answer)
	}
	return nil
}

// greetHTTPS asks for nothing in particular: each answer is one, but for a redirect.
func greetHTTPS(nc net.Conn, host string) error {
	if _, err := fmt.Fprintf(nc, "GET / HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nConnection: close\r\n\r\n", host, product); err != nil {
		return err
	}
	r := bufio.NewReader(io.LimitReader(nc, maxAnswerHeader))
	if _, err := r.Peek(1); err != nil {
		return err
	}
	resp, err := http.ReadResponse(r, nil)
	switch {
	case err == nil && resp.StatusCode/100 == 3:
		err = ErrRedirect
	case err == nil || isA[net.Error](err):
		return err
	}
	return fmt.Errorf("%w: %w", errOther, errtext.Error(err))
}

// noGreeting is the error of a server that broke off after some of an answer.
func noGreeting(some []byte, err error) error {
	if len(some) > 0 && errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %.40q", errOther, some)
	}
	return err
}
