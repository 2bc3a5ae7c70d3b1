package faults_test

import (
	"testing"
	"time"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// TestWhatTheHubDoesNotAnswer has the hub end all links, or all sessions, and then leave one kind of frame without an answer: the
// client lives on, is well again when the hub is, and its Close takes no longer than it may when no good-bye is answered.
func TestWhatTheHubDoesNotAnswer(t *testing.T) {
	const lasts = 5 * time.Minute
	for i, what := range []amqp10.Descriptor{amqp10.DescBegin, amqp10.DescAttach, amqp10.DescDetach, amqp10.DescEnd, amqp10.DescClose} {
		for name, end := range map[string]func(*speaker){
			"links":    func(s *speaker) { s.detach(linkOf(dev), forced) },
			"sessions": func(s *speaker) { s.end(linkOf(dev), forced) },
		} {
			for _, p := range amqpProtocols {
				if p.skips(i) {
					continue
				}
				t.Run(p.name+"/"+what.String()+", as "+name+" end", func(t *testing.T) {
					inBubble(t, p, setting{inspects: true}, func(t *testing.T, v *venue) {
						c := newCrowd(v, nil)
						c.uses("before", v.recovery(), false)
						v.net.speak(func(s *speaker) { s.hush(what); end(s) })
						v.pass(lasts)
						v.net.speak(func(s *speaker) { s.hush() })
						c.uses("afterwards", v.pace.connect+3*v.recovery(), false) // what was asked last, and the waits of a new session's links
						for _, u := range c.users {
							if err := u.c.Err(); err != nil {
								t.Errorf("the client has ended: %v", err)
							}
						}
						v.net.speak(func(s *speaker) { s.hush(amqp10.DescDetach, amqp10.DescEnd, amqp10.DescClose) })
					})
				})
			}
		}
	}
}
