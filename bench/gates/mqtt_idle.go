package main

import (
	"fmt"
	"net"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/hubwire/hubwire/mqtt"
)

// holder makes an actor that holds as many connections as it is told to. First
// it makes some and closes them, so that what a process needs but once is not
// counted: code that is paged in, pools, the memory of the poller and the collector.
// open makes one, up tells whether it still is, and end closes it.
func holder[C any](warmUp int, open func(id string) (C, error), up func(C) bool, end func(C)) (*actor, error) {
	var all []C
	more := func(n int) error {
		for range n {
			c, err := open(fmt.Sprintf("%s-%d", identity.DeviceID, len(all)))
			if err != nil {
				return err
			}
			all = append(all, c)
		}
		return nil
	}
	if err := more(warmUp); err != nil {
		return nil, err
	}
	for _, c := range all {
		end(c)
	}
	clear(all)
	all = all[:0]
	settleDown()
	return &actor{
		run: func(n int) error {
			err := more(n)
			settleDown()
			return err
		},
		count: func() (n int64) {
			for _, c := range all {
				if up(c) {
					n++
				}
			}
			return n
		},
	}, nil
}

// settleDown waits until the process has no more than it needs: goroutines that
// end have ended, pools are empty, which takes two collections, and what is free
// is the kernel's. On a busy machine goroutines take a while to end.
func settleDown() {
	for looks, still, n := 0, 0, -1; still < 3 && looks < 100; looks++ {
		time.Sleep(100 * time.Millisecond)
		debug.FreeOSMemory()
		if now := runtime.NumGoroutine(); now != n {
			still, n = 0, now
		}
		still++
	}
}

func idleSessionRole(s setup) (*actor, error) {
	dial := s.sessionDial()
	return holder(s.WarmUp,
		func(id string) (*mqtt.Session, error) {
			return newSession(dial, id, &mqtt.SessionOptions{CleanSession: true})
		},
		func(c *mqtt.Session) bool { return c.State() == mqtt.Connected },
		func(c *mqtt.Session) { c.Close() },
	)
}

func idlePahoRole(s setup) (*actor, error) {
	return holder(s.WarmUp, s.dialPaho,
		func(c paho.Client) bool { return c.IsConnectionOpen() },
		func(c paho.Client) { c.Disconnect(0) },
	)
}

// idleFloorRole holds the least that a client can be: a connection, and a
// goroutine that waits for what comes, with room for 64 bytes.
func idleFloorRole(s setup) (*actor, error) {
	return holder(s.WarmUp,
		func(string) (*listener, error) {
			nc, err := s.dialMQTT()
			if err != nil {
				return nil, err
			}
			l := &listener{nc: nc}
			go l.listen()
			return l, nil
		},
		func(l *listener) bool { return !l.over.Load() },
		func(l *listener) { l.nc.Close() },
	)
}

type listener struct {
	nc   net.Conn
	over atomic.Bool
}

func (l *listener) listen() {
	var b [64]byte
	for {
		if _, err := l.nc.Read(b[:]); err != nil {
			l.over.Store(true)
			return
		}
	}
}
