package amqpclient_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpclient"
)

// What a peer does wrong ends what it must and no more. Each case has a connection with a session of channel 7 there, a
// sender of handle 9 there, and a receiver of handle 8 there with no credit.
func TestAPeerThatBreaksTheProtocol(t *testing.T) {
	some := amqp10.Some[uint32]
	moved := func(handle, id uint32) on {
		return on{7, transfer{amqp10.Transfer{Handle: handle, DeliveryID: some(id), DeliveryTag: []byte{1}}, "m"}}
	}
	for _, c := range []struct {
		name  string
		frame body
		said  string
		level amqpclient.Level // 0: nothing ends
	}{
		{"sends a transfer without credit", moved(8, 0), "detach 1 closed link:transfer-limit-exceeded", amqpclient.LevelLink},
		{"sends a transfer to a sender", moved(9, 0), "detach 0 closed not-allowed", amqpclient.LevelLink},
		{"sends a transfer on no link", moved(5, 0), "end session:unattached-handle", amqpclient.LevelSession},
		{"sends a transfer that has no id", on{7, transfer{amqp10.Transfer{Handle: 8}, "m"}}, "detach 1 closed invalid-field", amqpclient.LevelLink},
		{"sends a flow of no link", linkFlow(math.MaxUint32, 0, 1), "end session:unattached-handle", amqpclient.LevelSession},
		{"detaches no link", detach(5, nil), "end session:unattached-handle", amqpclient.LevelSession},
		{"attaches a link of its own", attach("mine", 5, amqp10.RoleSender), "end not-allowed", amqpclient.LevelSession},
		{"attaches a link again", attach("out", 5, amqp10.RoleReceiver), "end not-allowed", amqpclient.LevelSession},
		{"settles backwards", settled(amqp10.RoleReceiver, 5, 4, amqp10.Accepted()), "end invalid-field", amqpclient.LevelSession},
		{"settles what there never was", settled(amqp10.RoleReceiver, 5, math.MaxInt32, amqp10.Accepted()), "", 0},
		{"settles as a sender what there never was", settled(amqp10.RoleSender, 5, math.MaxInt32, amqp10.State{}), "", 0},
		{"settles with a state that there is not", settled(amqp10.RoleReceiver, 5, 6, unknownState()), "", 0},
		{"sends a flow of a link without link-credit", on{7, &amqp10.Flow{Handle: some(9)}}, "", 0},
		{"begins what nobody asked for", begin(3), "close not-allowed", amqpclient.LevelConn},
		{"begins by itself", on{8, &amqp10.Begin{}}, "close not-allowed", amqpclient.LevelConn},
		{"begins twice", begin(0), "close not-allowed", amqpclient.LevelConn},
		{"ends no session", on{8, &amqp10.End{}}, "close not-allowed", amqpclient.LevelConn},
		{"speaks on a channel without session", on{8, &amqp10.Flow{}}, "close not-allowed", amqpclient.LevelConn},
		{"opens twice", &amqp10.Open{}, "close illegal-state", amqpclient.LevelConn},
		{"sends a frame of SASL", sasl{&amqp10.SASLOutcome{}}, "close connection:framing-error", amqpclient.LevelConn},
		{"sends what is no performative", raw("\x00\x53\x70\x45"), "close decode-error", amqpclient.LevelConn},
		{"sends what cannot be read", on{7, raw("\x00\x53\x12\xc0\x03\x01\xa1\x09")}, "close decode-error", amqpclient.LevelConn},
		{"sends rubbish", raw("\xff"), "close decode-error", amqpclient.LevelConn},
		{"shows that it lives", raw(""), "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var j journal
				p, conn, s, out, in := all(t, &j)
				p.send(c.frame)
				got := strings.Join(p.frames(), "; ")
				if got != c.said {
					t.Errorf("the client says %q, want %q", got, c.said)
				}
				var level amqpclient.Level
				for l, err := range map[amqpclient.Level]error{
					amqpclient.LevelConn: conn.Err(), amqpclient.LevelSession: s.Err(), amqpclient.LevelLink: errors.Join(out.Err(), in.Err()),
				} {
					if err != nil {
						level = max(level, l)
						if !errors.Is(err, amqpclient.ErrProtocol) {
							t.Errorf("the %v with %v", l, err)
						}
					}
				}
				if level != c.level {
					t.Errorf("it has come to %v, want %v", level, c.level)
				}
			})
		})
	}
}

// raw is a body that is what it is.
type raw string

func (r raw) AppendTo(dst []byte) []byte { return append(dst, r...) }

// unknownState is a delivery state that the standard does not have.
func unknownState() amqp10.State {
	r := amqp10.NewReader([]byte("\x00\x53\x7f\x45"))
	return r.State()
}

func TestAFrameThatIsTooLargeIsRefusedByItsLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		p, conn, _, _, _ := all(t, &j)
		p.raw([]byte("\xff\xff\xff\xff\x02\x00\x00\x00"))
		p.want("close connection:framing-error")
		p.raw(make([]byte, 100_000)) // whatever it is
		time.Sleep(3 * time.Second)
		<-conn.Done()
		p.want("EOF")
		if err := conn.Err(); !errors.Is(err, amqpclient.ErrProtocol) || !strings.Contains(err.Error(), "larger than agreed") {
			t.Errorf("the connection ended with %v", err)
		}
	})
}

func TestMoreTransfersThanTheWindowEndTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := session(t, nil, &amqpclient.SessionOptions{Window: 2})
		r := later(func() (*amqpclient.Receiver, error) {
			return s.Receiver(t.Context(), &amqpclient.ReceiverOptions{Name: "in", Credit: 100})
		})
		synctest.Wait()
		p.send(attach("in", 9, amqp10.RoleSender))
		r.must(t)
		p.frames()
		p.send(message(0, "m"), message(1, "m"), message(2, "m")) // all in one write: the window cannot be told meanwhile
		p.want("end session:window-violation")
	})
}

func TestDeliveryIDsMustRise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := receiver(t, &amqpclient.ReceiverOptions{Credit: 5})
		p.frames()
		p.send(message(7, "m"), message(7, "m"))
		p.want("end invalid-field")
	})
}

func TestFramesThatCrossAnEndArePassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		o := j.receiver(5)
		p, r := receiver(t, o)
		r.Detach(gone2, nil)
		p.frames()
		p.send(message(0, "m"), linkFlow(9, 1, 0), settled(amqp10.RoleSender, 0, 0, amqp10.Accepted()), detach(9, nil))
		s := r.Session()
		s.End(gone2, nil)
		p.send(message(1, "m"), detach(9, nil), on{7, &amqp10.Flow{}}, on{7, &amqp10.End{}})
		p.want("end")
		if err := s.Conn().Err(); err != nil {
			t.Errorf("the connection ended with %v", err)
		}
		j.want(t, "receiver: amqpclient: link ended: amqpclient: closed")
	})
}
