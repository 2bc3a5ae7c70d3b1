package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// What a process of its own does is a role: a server or a client. The program
// runs itself anew for each, with the role's name in the environment, gives it
// orders on its standard input and gets an answer to each on its standard output,
// in JSON. The end of its input is the end of the process, so that none is left
// behind when the program ends in whatever way.

const roleEnv = "HUBWIRE_GATES_ROLE"

// role begins what s says. A server is reached by the actor's door.
type role func(s setup) (*actor, error)

// actor is a role that has begun.
type actor struct {
	door  door
	run   func(n int) error    // does n of what it does, and waits until all of it is done; nil: it only serves
	count func() int64         // of messages taken in or seen acknowledged; nil: it does not count
	p99   func() time.Duration // how long 99 % of the messages of the last run took at most; nil: not known
	worst func() time.Duration // how long all of them did; nil: not known
	more  func(*usage)         // fills in what else there is; nil: nothing
}

// setup is what a role is to do: with which server, and how.
type setup struct {
	Door   door
	TLS    bool // of a client; servers have doors for both
	WarmUp int  // how many connections it makes and closes first, if it is to hold some

	Devices int    // of a registry, how many there are
	Rival   int    // which of rivals a client is
	Links   int    // of each device, how many it has: the first of kinds
	Dir     string // of a hub, where its files are
}

// door is how to reach a server.
type door struct {
	TCP, TLS  string // host:port
	CA        []byte // PEM of who has signed its certificate
	Host      string // of a hub, which wants a token
	Pid       int    // of a server that is another program than this
	Service   string // the connection string of a hub's service
	Uncounted bool   // a server that does not count what it is asked
}

// order is what a process is told.
type order struct {
	Do    verb
	Setup *setup `json:",omitempty"` // of start
	N     int    `json:",omitempty"` // of run
}

type verb string

const (
	doStart verb = "start" // once, and first; the answer has a Door
	doRun   verb = "run"   // the answer has the Usage of this stretch
	doTell  verb = "tell"  // the answer has the Usage so far
	doRest  verb = "rest"  // the same, when all garbage is collected
)

// answer is what a process says to an order.
type answer struct {
	Error string `json:",omitempty"`
	Door  *door  `json:",omitempty"`
	Usage *usage `json:",omitempty"`
}

// play takes the orders of r until there are no more, and returns then even when
// the last one is still being obeyed.
func play(r role, in io.Reader, out io.Writer) error {
	orders := make(chan order, 1)
	defer close(orders)
	go func() {
		var a *actor
		for enc := json.NewEncoder(out); ; {
			o, ok := <-orders
			if !ok {
				return
			}
			var ans answer
			if err := obey(r, &a, o, &ans); err != nil {
				ans = answer{Error: err.Error()}
			}
			enc.Encode(ans) // who does not listen any more has closed the orders too
		}
	}()
	for dec := json.NewDecoder(in); ; {
		var o order
		switch err := dec.Decode(&o); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("orders: %w", err)
		}
		select {
		case orders <- o:
		default:
			return fmt.Errorf("orders: %q came too early", o.Do)
		}
	}
}

// obey does what o says. *a is what start has made.
func obey(r role, a **actor, o order, ans *answer) (err error) {
	switch {
	case o.Do == doStart && *a == nil && o.Setup != nil:
		if *a, err = r(*o.Setup); err != nil {
			return err
		}
		ans.Door = &(*a).door
		return nil
	case (o.Do == doTell || o.Do == doRest) && *a != nil:
		if o.Do == doRest {
			settleDown()
		}
		ans.Usage = new(usage)
		*ans.Usage, err = (*a).used()
		return err
	case o.Do == doRun && *a != nil && (*a).run != nil && o.N > 0:
		ans.Usage = new(usage)
		*ans.Usage, err = (*a).measured(o.N)
		return err
	}
	return fmt.Errorf("orders: cannot %q now", o.Do)
}

// used is what the process has used so far.
func (a *actor) used() (usage, error) {
	u, err := used()
	if a.count != nil {
		u.Count = a.count()
	}
	if a.p99 != nil {
		u.P99 = a.p99()
	}
	if a.worst != nil {
		u.Worst = a.worst()
	}
	if a.more != nil {
		a.more(&u)
	}
	return u, err
}

// measured runs n of what a does, and returns what that used.
func (a *actor) measured(n int) (usage, error) {
	before, err := a.used()
	if err != nil {
		return usage{}, err
	}
	if err := a.run(n); err != nil {
		return usage{}, err
	}
	after, err := a.used()
	return after.since(before), err
}
