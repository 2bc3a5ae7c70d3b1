package hub_test

import (
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/sas"
)

// frames is a peer of the AMQP door that says what it likes, frame by frame.
type frames struct {
	t   testing.TB
	nc  net.Conn
	buf []byte
	ids uint32 // deliveries sent
}

// dialFrames opens a TLS connection and sends a protocol header, which the hub must answer with the same.
func dialFrames(t testing.TB, h *hub.Hub, p amqp10.Protocol) *frames {
	f := &frames{t: t, nc: dialTLS(t, h, "5671", nil)}
	f.header(p)
	return f
}

func (f *frames) header(p amqp10.Protocol) {
	f.t.Helper()
	f.write(amqp10.AppendProtocol(nil, p))
	var got [8]byte
	if _, err := io.ReadFull(f.nc, got[:]); err != nil {
		f.t.Fatal(err)
	}
	if answer, err := amqp10.ParseProtocol(got[:]); err != nil || answer != p {
		f.t.Fatalf("the answer to header %d is %d, %v", p, answer, err)
	}
}

// openFrames opens a session on a connection without SASL, as the .NET and Node SDKs do.
func openFrames(t testing.TB, h *hub.Hub) *frames {
	f := dialFrames(t, h, amqp10.ProtocolAMQP)
	f.open()
	return f
}

func (f *frames) open() {
	f.t.Helper()
	f.send((&amqp10.Open{ContainerID: []byte("peer")}).AppendTo)
	f.send((&amqp10.Begin{IncomingWindow: 100, OutgoingWindow: 100}).AppendTo)
	f.await(amqp10.DescOpen)
	f.await(amqp10.DescBegin)
}

func (f *frames) write(b []byte) {
	f.t.Helper()
	if _, err := f.nc.Write(b); err != nil {
		f.t.Fatal(err)
	}
}

// send sends a frame with a body on channel 0.
func (f *frames) send(body func([]byte) []byte) {
	f.t.Helper()
	f.write(amqp10.CloseFrame(body(amqp10.OpenFrame(nil, amqp10.FrameAMQP, 0)), 0))
}

// next returns the body of the next frame that is not empty.
func (f *frames) next() []byte {
	f.t.Helper()
	for {
		frame, rest, err := amqp10.SplitFrame(f.buf, 1<<20)
		if err != nil {
			f.t.Fatal(err)
		}
		if frame != nil {
			f.buf = slices.Clone(rest)
			if len(frame.Body()) > 0 {
				return slices.Clone(frame.Body())
			}
			continue
		}
		var b [4096]byte
		if err := f.nc.SetReadDeadline(time.Now().Add(patience)); err != nil {
			f.t.Fatal(err)
		}
		n, err := f.nc.Read(b[:])
		if err != nil {
			f.t.Fatal(err)
		}
		f.buf = append(f.buf, b[:n]...)
	}
}

// await returns the next frame, which must be of this kind. Flows are passed over.
func (f *frames) await(want amqp10.Descriptor) []byte {
	f.t.Helper()
	for {
		body := f.next()
		switch got := amqp10.PeekDescriptor(body); {
		case got == want:
			return body
		case got != amqp10.DescFlow:
			f.t.Fatalf("there came %v, want %v: %x", got, want, body)
		}
	}
}

// attach attaches a link, and gives credit if it is one to receive on.
func (f *frames) attach(handle uint32, role amqp10.Role, address string, credit uint32) {
	f.t.Helper()
	at := amqp10.ValueOf(amqp10.AppendString(nil, address))
	a := amqp10.Attach{Name: []byte(address), Handle: handle, Role: role,
		Source: amqp10.Some(amqp10.Source{Address: at}), Target: amqp10.Some(amqp10.Target{Address: at})}
	if role == amqp10.RoleSender {
		a.InitialDeliveryCount = amqp10.Some[uint32](0)
	} else {
		a.ReceiveMode = amqp10.Some(amqp10.ReceiveSecond)
	}
	f.send(a.AppendTo)
	f.await(amqp10.DescAttach)
	if role == amqp10.RoleReceiver {
		f.send((&amqp10.Flow{NextIncomingID: amqp10.Some[uint32](0), IncomingWindow: 100, OutgoingWindow: 100,
			Handle: amqp10.Some(handle), DeliveryCount: amqp10.Some[uint32](0), LinkCredit: amqp10.Some(credit)}).AppendTo)
	}
}

// transfer sends a message on a link.
func (f *frames) transfer(handle uint32, message []byte) {
	f.t.Helper()
	f.write(appendTransfer(nil, handle, f.ids, message))
	f.ids++
}

// appendTransfer appends the frame of a message.
func appendTransfer(dst []byte, handle, id uint32, message []byte) []byte {
	at := len(dst)
	t := amqp10.Transfer{Handle: handle, DeliveryID: amqp10.Some(id), DeliveryTag: []byte{byte(id)}, MessageFormat: amqp10.Some[uint32](0)}
	return amqp10.CloseFrame(append(t.AppendTo(amqp10.OpenFrame(dst, amqp10.FrameAMQP, 0)), message...), at)
}

// received returns the next delivery.
func (f *frames) received() (amqp10.Transfer, amqp.Message) {
	f.t.Helper()
	var t amqp10.Transfer
	payload, err := t.Parse(f.await(amqp10.DescTransfer))
	if err != nil {
		f.t.Fatal(err)
	}
	m, err := amqp.ParseMessage(payload)
	if err != nil {
		f.t.Fatal(err)
	}
	return t, m
}

func (f *frames) disposition() amqp10.Disposition {
	f.t.Helper()
	var d amqp10.Disposition
	if err := d.Parse(f.await(amqp10.DescDisposition)); err != nil {
		f.t.Fatal(err)
	}
	return d
}

// putToken attaches the links of $cbs and puts a token of dev with this message id. The
// disposition must come before the answer.
func (f *frames) putToken(h *hub.Hub, id amqp.Typed) amqp.Message {
	f.t.Helper()
	d, err := h.Device(dev)
	if err != nil {
		f.t.Fatal(err)
	}
	f.attach(0, amqp10.RoleSender, "$cbs", 0)
	f.attach(1, amqp10.RoleReceiver, "$cbs", 50)
	f.transfer(0, amqp.AppendPutToken(nil, &amqp.PutToken{
		ID: id.Value(), Type: amqp.SASTokenType, Name: audience(dev),
		Token: sas.NewSecret(token(d.PrimaryKey, audience(dev), "", time.Now().Add(time.Hour))),
	}))
	if got := f.disposition(); got.Role != amqp10.RoleReceiver || !got.Settled.Value || got.State.Kind() != amqp10.DescAccepted {
		f.t.Errorf("the disposition is %+v", got)
	}
	_, m := f.received()
	return m
}

// TestAMQPPutTokenIDs has message ids of all types: the answer's correlation id is of the same type.
func TestAMQPPutTokenIDs(t *testing.T) {
	for name, id := range map[string]amqp.Typed{
		"text": amqp.String("request1"), "a number": amqp.Ulong(0), "a large number": amqp.Ulong(1 << 40),
		"a uuid": amqp.ID(amqp.UUID{1, 2, 3}), "binary": amqp.Binary([]byte{1}), "none": {},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				m := openFrames(t, h).putToken(h, id)
				want := id.Value()
				if got := m.CorrelationID(); got.Kind() != want.Kind() || string(got.AppendTo(nil)) != string(want.AppendTo(nil)) {
					t.Errorf("the correlation id is a %v, %x, want a %v, %x", got.Kind(), got.AppendTo(nil), want.Kind(), want.AppendTo(nil))
				}
				status, _ := m.ApplicationProperties().Lookup("status-code")
				if n, ok := status.Int(); !ok || n != 200 || status.Kind() != amqp10.KindInt {
					t.Errorf("the status is a %v, %d", status.Kind(), n)
				}
			})
		})
	}
}

// TestAMQPMechanisms has a peer of uAMQP's kind, which knows MSSBCBS only.
func TestAMQPMechanisms(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		f := dialFrames(t, h, amqp10.ProtocolSASL)
		var offered []string
		var m amqp10.SASLMechanisms
		if err := m.Parse(f.await(amqp10.DescSASLMechanisms)); err != nil {
			t.Fatal(err)
		}
		for items := m.Mechanisms.Items(); items.More(); {
			offered = append(offered, string(items.Text()))
		}
		if want := []string{"MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"}; !slices.Equal(offered, want) {
			t.Errorf("the mechanisms are %q, want %q", offered, want)
		}
		init := amqp10.SASLInit{Mechanism: []byte("MSSBCBS")}
		f.write(amqp10.CloseFrame(init.AppendTo(amqp10.OpenFrame(nil, amqp10.FrameSASL, 0)), 0))
		var o amqp10.SASLOutcome
		if err := o.Parse(f.await(amqp10.DescSASLOutcome)); err != nil || o.Code != amqp10.SASLOK {
			t.Fatalf("the outcome is %d, %v", o.Code, err)
		}
		f.header(amqp10.ProtocolAMQP)
		f.open()
		f.putToken(h, amqp.Ulong(0))
	})
}

// TestAMQPSettlesAsNETDoes has the .NET SDK's dispositions: not settled, batchable, and the
// hub's word is waited for. It says what came of it, also when the lock is over, and to the same twice nothing more.
func TestAMQPSettlesAsNETDoes(t *testing.T) {
	for name, tt := range map[string]struct {
		wait time.Duration
		want amqp10.Descriptor
	}{"in time": {0, amqp10.DescAccepted}, "too late": {61 * time.Second, amqp10.DescRejected}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				sendC2D(t, h, dev, "hi")
				f := openFrames(t, h)
				f.putToken(h, amqp.Ulong(0))
				f.attach(2, amqp10.RoleReceiver, "/devices/dev-1/messages/devicebound", 1)
				got, _ := f.received()
				time.Sleep(tt.wait)
				word := amqp10.Disposition{Role: amqp10.RoleReceiver, First: got.DeliveryID.Value,
					Settled: amqp10.Some(false), Batchable: amqp10.Some(true), State: amqp10.Accepted()}
				f.send(word.AppendTo)
				d := f.disposition()
				if d.Role != amqp10.RoleSender || d.First != got.DeliveryID.Value || !d.Settled.Value || d.State.Kind() != tt.want {
					t.Errorf("the hub's word is %+v", d)
				}
				if e, err := d.State.Error(); tt.want == amqp10.DescRejected && (err != nil || e == nil || e.Condition != "com.microsoft:message-lock-lost") {
					t.Errorf("the error is %v, %v", e, err)
				}
				f.send(word.AppendTo) // again
				f.send((&amqp10.Close{}).AppendTo)
				f.await(amqp10.DescClose)
			})
		})
	}
}

// TestAMQPPeerThatDoesNotRead has a device ask and never read: it is dropped, and another goes on.
func TestAMQPPeerThatDoesNotRead(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		f := openFrames(t, h)
		f.putToken(h, amqp.Ulong(0))
		f.attach(2, amqp10.RoleSender, "/devices/dev-1/messages/events", 0)
		for i := 0; ; i++ {
			if err := f.nc.SetWriteDeadline(time.Now().Add(2 * time.Minute)); err != nil {
				t.Fatal(err)
			}
			m := amqp10.Transfer{Handle: 2, DeliveryID: amqp10.Some(f.ids), DeliveryTag: []byte{1}, MessageFormat: amqp10.Some[uint32](9)} // which is refused
			f.ids++
			if _, err := f.nc.Write(amqp10.CloseFrame(m.AppendTo(amqp10.OpenFrame(nil, amqp10.FrameAMQP, 0)), 0)); err != nil {
				break
			}
			if i > 100_000 {
				t.Fatal("it is not dropped")
			}
		}
		synctest.Wait() // the hub cuts first, and then disconnects
		if h.Connected(dev) {
			t.Error("it is still connected")
		}
		openAMQPDevice(t, h, dev).works()
	})
}

// uAMQP asks for receiver-settle-mode second for what it sends, and waits for the hub to settle.
func TestAMQPSettlesFirstWhatItReceives(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		f := openFrames(t, h)
		f.putToken(h, amqp.Ulong(0))
		to := amqp10.ValueOf(amqp10.AppendString(nil, "/devices/dev-1/messages/events"))
		f.send((&amqp10.Attach{Name: []byte("out"), Handle: 2, Role: amqp10.RoleSender, ReceiveMode: amqp10.Some(amqp10.ReceiveSecond),
			Source: amqp10.Some(amqp10.Source{}), Target: amqp10.Some(amqp10.Target{Address: to}), InitialDeliveryCount: amqp10.Some[uint32](0)}).AppendTo)
		var a amqp10.Attach
		if err := a.Parse(f.await(amqp10.DescAttach)); err != nil || a.ReceiveMode != amqp10.Some(amqp10.ReceiveSecond) {
			t.Errorf("mode %v, %v", a.ReceiveMode, err)
		}
		f.transfer(2, amqp10.AppendBinary([]byte{0, 0x53, 0x75}, []byte("hi")))
		if d := f.disposition(); !d.Settled.Or(false) || d.State.Kind() != amqp10.DescAccepted {
			t.Errorf("disposition %+v", d)
		}
	})
}
