package amqpserver_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

const (
	headAMQP = "AMQP\x00\x01\x00\x00"
	headSASL = "AMQP\x03\x01\x00\x00"
)

// sasl returns a frame of SASL.
func sasl(b body) string {
	return string(amqp10.CloseFrame(b.AppendTo(amqp10.OpenFrame(nil, amqp10.FrameSASL, 0)), 0))
}

func open(b ...body) string { return string(encode(append([]body{&amqp10.Open{}}, b...)...)) }

func TestHandshake(t *testing.T) {
	plain := sasl(&amqp10.SASLInit{Mechanism: []byte("PLAIN"), InitialResponse: []byte("\x00me\x00secret"), Hostname: []byte("host")})
	for name, c := range map[string]struct {
		send       []string
		mechanisms string
		want       []string
		err        error
	}{
		"a bare header is let in":                             {[]string{headAMQP, open()}, "PLAIN", []string{"AMQP 0", "open amqpserver"}, nil},
		"header and open may come together":                   {[]string{headAMQP + open(&amqp10.Begin{})}, "", []string{"AMQP 0", "open amqpserver", "begin 0 next=1"}, nil},
		"a header may come byte by byte":                      {[]string{"A", "M", "QP", "\x00\x01", "\x00", "\x00"}, "", []string{"AMQP 0"}, nil},
		"SASL lets in who is":                                 {[]string{headSASL, plain, headAMQP, open()}, "PLAIN", []string{"AMQP 3", "mechanisms PLAIN", "outcome 0", "AMQP 0", "open amqpserver"}, nil},
		"all of it may come together":                         {[]string{headSASL + plain + headAMQP + open()}, "PLAIN", []string{"AMQP 3", "mechanisms PLAIN", "outcome 0", "AMQP 0", "open amqpserver"}, nil},
		"a wrong secret is told so":                           {[]string{headSASL, sasl(&amqp10.SASLInit{Mechanism: []byte("PLAIN"), InitialResponse: []byte("no")})}, "PLAIN", []string{"AMQP 3", "mechanisms PLAIN", "outcome 1", "EOF"}, amqpserver.ErrSASL},
		"a mechanism that was not offered is told so":         {[]string{headSASL, sasl(&amqp10.SASLInit{Mechanism: []byte("GSSAPI")})}, "PLAIN", []string{"AMQP 3", "mechanisms PLAIN", "outcome 1", "EOF"}, amqpserver.ErrSASL},
		"another frame than init is told so":                  {[]string{headSASL, sasl(&amqp10.SASLResponse{})}, "PLAIN", []string{"AMQP 3", "mechanisms PLAIN", "outcome 3", "EOF"}, amqpserver.ErrSASL},
		"AMQP within SASL ends it":                            {[]string{headSASL, open()}, "PLAIN", []string{"AMQP 3", "mechanisms PLAIN", "EOF"}, amqpserver.ErrSASL},
		"SASL twice ends it":                                  {[]string{headSASL, plain, headSASL}, "PLAIN", []string{"AMQP 3", "mechanisms PLAIN", "outcome 0", "AMQP 0", "EOF"}, errAny},
		"SASL that is not offered is answered with AMQP":      {[]string{headSASL}, "", []string{"AMQP 0", "EOF"}, errAny},
		"TLS within the connection too":                       {[]string{"AMQP\x02\x01\x00\x00"}, "PLAIN", []string{"AMQP 0", "EOF"}, errAny},
		"another version too":                                 {[]string{"AMQP\x00\x00\x09\x01"}, "PLAIN", []string{"AMQP 0", "EOF"}, amqp10.ErrProtocol},
		"another protocol at its first byte":                  {[]string{"G"}, "PLAIN", []string{"AMQP 0", "EOF"}, amqp10.ErrProtocol},
		"a frame before open is answered with open and close": {[]string{headAMQP, string(encode(&amqp10.Begin{}))}, "", []string{"AMQP 0", "open amqpserver", "close illegal-state", "EOF"}, &amqp10.Error{Condition: amqp10.IllegalState}},
		"a frame that is too large too":                       {[]string{headAMQP, "\x7f\xff\xff\xff\x02\x00\x00\x00"}, "", []string{"AMQP 0", "open amqpserver", "close connection:framing-error", "EOF"}, &amqp10.Error{Condition: amqp10.FramingError}},
		"a frame of SASL behind it too":                       {[]string{headAMQP, plain}, "", []string{"AMQP 0", "open amqpserver", "close connection:framing-error", "EOF"}, &amqp10.Error{Condition: amqp10.FramingError}},
		"frames that are too small are not agreed to":         {[]string{headAMQP, string(encode(&amqp10.Open{MaxFrameSize: amqp10.Some[uint32](511)}))}, "", []string{"AMQP 0", "open amqpserver", "close invalid-field", "EOF"}, &amqp10.Error{Condition: amqp10.InvalidField}},
		"an idle time-out of nothing is not agreed to":        {[]string{headAMQP, string(encode(&amqp10.Open{IdleTimeout: amqp10.Some[uint32](99)}))}, "", []string{"AMQP 0", "open amqpserver", "close not-allowed", "EOF"}, &amqp10.Error{Condition: amqp10.NotAllowed}},
		"the handler may refuse an open":                      {[]string{headAMQP, string(encode(&amqp10.Open{Hostname: []byte("elsewhere")}))}, "", []string{"AMQP 0", "open amqpserver", "close not-found", "EOF"}, &amqp10.Error{Condition: amqp10.NotFound}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := &amqpserver.Config{}
				if c.mechanisms != "" {
					cfg.Mechanisms = []string{c.mechanisms}
				}
				h := &amqpserver.Handler{
					Authenticate: func(_ *amqpserver.Conn, mechanism string, initial []byte, hostname string) amqp10.SASLCode {
						if mechanism == "PLAIN" && string(initial) == "\x00me\x00secret" && hostname == "host" {
							return amqp10.SASLOK
						}
						return amqp10.SASLAuth
					},
					Opened: func(_ *amqpserver.Conn, o *amqp10.Open) *amqp10.Error {
						if string(o.Hostname) == "elsewhere" {
							return &amqp10.Error{Condition: amqp10.NotFound}
						}
						return nil
					},
				}
				p, _ := connect(t, cfg, h)
				for _, b := range c.send {
					p.raw([]byte(b))
					synctest.Wait()
				}
				if c.err != nil {
					<-p.done // the peer never answers close, or leaves
				}
				p.want(c.want...)
				p.nc.Close()
				<-p.done
				checkError(t, p.err, c.err)
			})
		})
	}
}

// errAny is any error that is no other.
var errAny = errors.New("any")

func checkError(t *testing.T, got, want error) {
	t.Helper()
	var e, w *amqp10.Error
	switch {
	case want == nil:
		want = amqpserver.ErrNoClose
	case want == errAny && got != nil:
		return
	case errors.As(want, &w) && errors.As(got, &e) && e.Condition == w.Condition:
		return
	}
	if !errors.Is(got, want) {
		t.Errorf("Serve returned %v, want %v", got, want)
	}
}

func TestWhoDoesNotOpenInTimeIsDropped(t *testing.T) {
	for name, sent := range map[string]string{"nothing": "", "half a header": "AMQ", "a header": headAMQP, "SASL only": headSASL, "half an open": headAMQP + "\x00\x00\x00\x20"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, _ := connect(t, &amqpserver.Config{Mechanisms: []string{"PLAIN"}}, &amqpserver.Handler{})
				start := time.Now()
				p.raw([]byte(sent))
				<-p.done
				if took := time.Since(start); took != time.Minute || p.err != amqpserver.ErrOpenTimeout {
					t.Errorf("ended after %v: %v", took, p.err)
				}
			})
		})
	}
}
