package faults_test

import (
	"cmp"
	"testing"

	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// This is the theme of errors that tell nothing, as AMQP has them: whatever the hub says when it ends a link, a
// session or the connection, it has shut nobody out before it refuses what is asked for again, which is
// among the ends of a client.

// conditions are those of part 7 of AMQP's spec, one that nobody knows, and none.
var conditions = []amqp.Condition{
	"", "com.example:unheard-of",

	amqp.InternalError, amqp.NotFound, amqp.UnauthorizedAccess, amqp.DecodeError, amqp.ResourceLimitExceeded,
	amqp.NotAllowed, amqp.InvalidField, amqp.NotImplemented, amqp.ResourceLocked, amqp.PreconditionFailed,
	amqp.ResourceDeleted, amqp.IllegalState, amqp.FrameSizeTooSmall,
	amqp.ConnectionForced, amqp.FramingError, amqp.ConnectionRedirect,
	amqp.WindowViolation, amqp.ErrantLink, amqp.HandleInUse, amqp.UnattachedHandle,
	amqp.DetachForced, amqp.TransferLimitExceeded, amqp.MessageSizeExceeded, amqp.LinkRedirect, amqp.Stolen,

	amqp.ArgumentError, amqp.ArgumentOutOfRange, amqp.HubNotFound, amqp.HubSuspended, amqp.QuotaExceeded,
	amqp.DeviceAlreadyExists, amqp.HubPreconditionFailed, amqp.MessageLockLost, amqp.DeviceContainerThrottled,
	amqp.Timeout, amqp.LinkCreationConflict, amqp.ServerBusy, amqp.OperationCancelled, amqp.EntityDisabled,
	amqp.InvalidLinkPropertyFormat,
}

// endings are ways for the hub to end what a client has, and to say why.
var endings = []struct {
	name string
	all  bool // the connections end
	end  func(*speaker, *amqp10.Error)
}{
	{name: "detach of the link for telemetry", end: func(s *speaker, why *amqp10.Error) {
		s.detach(linkOf(dev, amqp.Telemetry), why)
	}},
	{name: "detach of the links that bring something", end: func(s *speaker, why *amqp10.Error) {
		s.detach(linkOf(dev, amqp.C2D, amqp.MethodRequests, amqp.TwinResponses), why)
	}},
	{name: "detach of the links for answers and requests", end: func(s *speaker, why *amqp10.Error) {
		s.detach(linkOf(dev, amqp.MethodResponses, amqp.TwinRequests), why)
	}},
	{name: "detach of all links", end: func(s *speaker, why *amqp10.Error) { s.detach(linkOf(dev), why) }},
	{name: "detach of the links for tokens", end: func(s *speaker, why *amqp10.Error) {
		s.detach(func(a amqp.Address) bool { return a.Node == amqp.CBS }, why)
	}},
	{name: "end", end: func(s *speaker, why *amqp10.Error) { s.end(linkOf(dev), why) }},
	{name: "close", all: true, end: func(s *speaker, why *amqp10.Error) { s.close(why) }},
}

// TestEachConditionOnEachLevel has a device and its module, who use every feature, lose what they have
// for each reason there may be.
func TestEachConditionOnEachLevel(t *testing.T) {
	for _, p := range protocols {
		if !p.amqp {
			continue
		}
		for _, x := range endings {
			t.Run(p.name+"/"+x.name, func(t *testing.T) {
				inBubble(t, p, setting{inspects: true}, func(t *testing.T, v *venue) {
					c := newCrowd(v, nil)
					c.uses("before", v.recovery(), false)
					dials := v.net.dials()
					for _, condition := range conditions {
						var why *amqp10.Error
						if condition != "" {
							why = &amqp10.Error{Condition: amqp10.Condition(condition), Description: "on purpose"}
						}
						name := cmp.Or(string(condition), "without a word")
						c.meanwhile(name, func() { v.net.speak(func(s *speaker) { x.end(s, why) }) })
						v.pass(2 * v.pace.backoff)
						c.uses("after "+name, v.recovery(), false)
						for _, u := range c.users {
							if err := u.c.Err(); err != nil {
								t.Fatalf("%s: the client has ended: %v", name, err)
							}
						}
					}
					if n := v.net.dials() - dials; (n > 0) != x.all || n > 2*len(conditions) {
						t.Errorf("it took %d connections", n)
					}
				})
			})
		}
	}
}
