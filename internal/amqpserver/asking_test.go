package amqpserver_test

import (
	"testing"
	"testing/synctest"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// What a peer says while a node is being asked for a message, by who writes, is as if it had said it behind
// that message.
func TestFlowsWhileANodeIsAsked(t *testing.T) {
	link := func(n uint32) *amqp10.Flow {
		f := credit(0, 0, n)
		f.Echo = amqp10.Some(true)
		return f
	}
	drain := credit(0, 0, 5)
	drain.Drain = amqp10.Some(true)
	for name, c := range map[string]struct {
		flows []body
		want  []string // when the node has answered
		next  body
		then  []string
	}{
		"one that takes the credit back": {
			say(link(0)), []string{"transfer 0 id=0 tag=00000001 format=0 x", "flow in=0+10 out=2 link 0 count=1 credit=0"},
			credit(0, 1, 1), []string{"transfer 0 id=1 tag=00000002 format=0 y"},
		},
		"the last of several counts, and an echo is answered": {
			say(link(0), credit(0, 0, 1)), []string{"transfer 0 id=0 tag=00000001 format=0 x", "flow in=0+10 out=2 link 0 count=1 credit=0"},
			credit(0, 1, 1), []string{"transfer 0 id=1 tag=00000002 format=0 y"},
		},
		"one that shuts the window": {
			say(&amqp10.Flow{NextIncomingID: amqp10.Some[uint32](1)}), nil,
			&amqp10.Flow{NextIncomingID: amqp10.Some[uint32](1), IncomingWindow: 1}, []string{"transfer 0 id=0 tag=00000001 format=0 x"},
		},
		"one that drains": {
			say(drain), []string{"transfer 0 id=0 tag=00000001 format=0 x", "transfer 0 id=1 tag=00000002 format=0 y", "flow in=0+10 out=3 link 0 count=5 credit=0 drain"},
			&amqp10.Flow{Echo: amqp10.Some(true)}, []string{"flow in=0+10 out=3"},
		},
		"a detach": {
			say(link(9), &amqp10.Detach{}), []string{"detach 0 closed"},
			&amqp10.Flow{Echo: amqp10.Some(true)}, []string{"flow in=0+10 out=1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, n, _ := fed(t, config, nil)
				p.send(credit(0, 0, 5))
				p.want()
				asking, answer := make(chan bool, 9), make(chan bool)
				n.asked = func() { asking <- true; <-answer }
				n.add("x", "y")
				<-asking
				p.send(c.flows...)
				synctest.Wait()
				close(answer)
				p.want(c.want...)
				p.send(c.next)
				p.want(c.then...)
			})
		})
	}
}
