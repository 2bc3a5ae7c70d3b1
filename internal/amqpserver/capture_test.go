package amqpserver_test

import (
	"encoding/hex"
	"encoding/json"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
	"github.com/hubwire/hubwire/internal/testkit"
)

// exchanged is one frame or header of the captured conversation.
type exchanged struct {
	Step, Direction, What, Hex string
	bytes                      []byte
}

func capture(t testing.TB) []exchanged {
	var file struct {
		Capture struct{ Frames []exchanged } `json:"session_capture"`
	}
	if err := json.Unmarshal(testkit.Vectors(t, "amqp.json"), &file); err != nil {
		t.Fatal(err)
	}
	frames := file.Capture.Frames
	for i := range frames {
		var err error
		if frames[i].bytes, err = hex.DecodeString(frames[i].Hex); err != nil {
			t.Fatal(err)
		}
	}
	if len(frames) < 30 {
		t.Fatalf("only %d frames", len(frames))
	}
	return frames
}

// actor is all nodes of the captured hub: what it answers where the address space decides, it takes from the capture.
type actor struct {
	response *amqpserver.Link // to CBS requests
	ready    bool
	transfer amqp10.Transfer // of that response
	payload  []byte
	states   []amqp10.State // the outcomes of deliveries, in order
	refusal  *amqp10.Error

	properties map[string]amqp10.Value // of links, as the captured hub echoes them
}

func newActor(t testing.TB, frames []exchanged) *actor {
	a := &actor{properties: map[string]amqp10.Value{}}
	for _, f := range frames {
		if f.Direction != "hub->client" || len(f.bytes) <= 8 {
			continue
		}
		body := f.bytes[8:]
		var err error
		switch amqp10.PeekDescriptor(body) {
		case amqp10.DescTransfer:
			a.payload, err = a.transfer.Parse(body)
		case amqp10.DescAttach:
			var p amqp10.Attach
			err = p.Parse(body)
			a.properties[string(p.Name)] = p.Properties
		case amqp10.DescDisposition:
			var d amqp10.Disposition
			err = d.Parse(body)
			a.states = append(a.states, d.State)
		case amqp10.DescDetach:
			var d amqp10.Detach
			if err = d.Parse(body); d.Error != nil {
				a.refusal = d.Error
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func (a *actor) handler() *amqpserver.Handler {
	return &amqpserver.Handler{
		Receiver: func(at *amqpserver.Attach) (amqpserver.Receiver, *amqp10.Error) {
			at.Reply.Properties = a.properties[at.Link.Name()]
			if address, _ := at.Peer.Target.Value.Address.Text(); string(address) == "$cbs" {
				at.Credit = 100
			}
			return a, nil
		},
		Sender: func(at *amqpserver.Attach) (amqpserver.Sender, *amqp10.Error) {
			if address, _ := at.Peer.Source.Value.Address.Text(); string(address) != "$cbs" {
				return nil, a.refusal
			}
			a.response = at.Link
			return a, nil
		},
	}
}

func (a *actor) Deliver(d *amqpserver.Delivery) {
	d.Settle(a.states[0])
	a.states = a.states[1:]
	if cbs := !a.ready; cbs {
		a.ready = true
		a.response.Wake()
	}
}

func (a *actor) Next(dst []byte) ([]byte, amqpserver.Outgoing, bool) {
	if !a.ready || a.payload == nil {
		return dst, amqpserver.Outgoing{}, false
	}
	dst = append(dst, a.payload...)
	a.payload = nil
	return dst, amqpserver.Outgoing{Tag: a.transfer.DeliveryTag}, true
}

func (*actor) Settled(uint64, amqp10.State, bool) amqp10.State { return amqp10.State{} }
func (*actor) Detached(error)                                  {}

// captured is the configuration of the captured hub.
var captured = &amqpserver.Config{
	ContainerID: "DeviceGateway_0123456789abcdef0123456789abcdef",
	Mechanisms:  []string{"MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"},
}

// The captured conversation comes out of the engine byte for byte, whether the client's frames come one by one
// or as soon as they could.
func TestTheCapturedConversation(t *testing.T) {
	frames := capture(t)
	synctest.Test(t, func(t *testing.T) {
		p, _ := connect(t, captured, newActor(t, frames).handler())
		for i, f := range frames {
			if f.Direction == "client->hub" {
				p.raw(f.bytes)
				synctest.Wait()
				continue
			}
			p.mu.Lock()
			got := p.got[:min(len(f.bytes), len(p.got))]
			p.got = p.got[len(got):]
			p.mu.Unlock()
			if diff := cmp.Diff(hex.EncodeToString(f.bytes), hex.EncodeToString(got)); diff != "" {
				t.Fatalf("step %d, %s (-want +got):\n%s", i+1, f.What, diff)
			}
		}
		p.want("EOF")
		if <-p.done; p.err != nil {
			t.Error(p.err)
		}
	})
}

// Cut anywhere, or with rubbish from anywhere on, a conversation ends, and everybody is told.
func TestTheCapturedConversationCutAnywhere(t *testing.T) {
	frames := capture(t)
	var sent []byte
	for _, f := range frames {
		if f.Direction == "client->hub" {
			sent = append(sent, f.bytes...)
		}
	}
	play := func(t *testing.T, at int, then func(p *peer)) {
		synctest.Test(t, func(t *testing.T) {
			p, _ := connect(t, captured, newActor(t, frames).handler())
			p.raw(sent[:at])
			synctest.Wait()
			then(p)
			<-p.done
			p.frames() // fails when the server wrote what is no frame
		})
	}
	step := 1
	if testing.Short() || testkit.RaceEnabled {
		step = 13
	}
	for at := 0; at < len(sent); at += step {
		play(t, at, func(p *peer) { p.nc.Close() })
		play(t, at, func(p *peer) { p.raw(rubbish(at)) })
	}
}

// rubbish are bytes of no order.
func rubbish(seed int) []byte {
	b, x := make([]byte, 300), uint32(seed)*2654435761+1
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

// Each frame of the conversation, cut at each byte and with a size that says so: all else is right. Nothing but a
// close answers it, with a condition that fits.
func TestEachFrameCutAtEachByte(t *testing.T) {
	frames := capture(t)
	for i, f := range frames {
		if f.Direction != "client->hub" || len(f.bytes) <= 8 || i < 7 {
			continue
		}
		end := len(f.bytes)
		if payload, err := new(amqp10.Transfer).Parse(f.bytes[8:]); err == nil {
			end -= len(payload)
		}
		for n := 9; n < end; n++ {
			synctest.Test(t, func(t *testing.T) {
				p, _ := connect(t, captured, newActor(t, frames).handler())
				for _, before := range frames[:i] {
					if before.Direction == "client->hub" {
						p.raw(before.bytes)
						synctest.Wait()
					}
				}
				p.frames()
				p.raw(amqp10.CloseFrame(append([]byte(nil), f.bytes[:n]...), 0))
				got := p.frames()
				if i == 7 && len(got) > 0 { // our open goes first
					got = got[1:]
				}
				if len(got) != 1 || got[0] != "close decode-error" && got[0] != "close illegal-state" {
					t.Errorf("step %s cut at %d: %q", f.Step, n, got)
				}
			})
		}
	}
}
