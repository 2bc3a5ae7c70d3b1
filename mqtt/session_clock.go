package mqtt

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"time"
)

// never is later than any time.
const never = time.Duration(math.MaxInt64)

// minRenewal keeps renewals from being made at full speed, whatever a LoginFunc says.
const minRenewal = 100 * time.Millisecond

// renewDrain is how long a connection that is left for one with a fresh login
// may take to acknowledge what it was sent; what is open then is sent again.
const renewDrain = time.Second

// shortKeepAlive is how long a KeepAlive must be for half of it to be ample time to answer a ping.
const shortKeepAlive = time.Minute

// lifetime is that of a login, by the wall clock.
type lifetime struct {
	end       time.Time // zero: none
	stillborn bool      // it was over when the login was given
}

func (l lifetime) over() bool { return !l.end.IsZero() && !time.Now().Round(0).Before(l.end) }

// expiry is when a connection stops being good: with its login, or what it was dialled with.
func (s *Session) expiry(login *Login) time.Time {
	at := s.callDialExpires()
	if at.IsZero() || !login.Expires.IsZero() && login.Expires.Before(at) {
		return login.Expires
	}
	return at
}

// renewal returns when to renew what expires so: after 80 % ± 2 % of its
// life, so that a fleet that started together does not renew together. What has
// expired already, or will have by then, is the server's to refuse: it may let who is in stay.
func (s *Session) renewal(expires time.Time) time.Time {
	now := time.Now().Round(0) // the wall clock: it goes on while a computer sleeps
	life := expires.Sub(now)
	if expires.IsZero() || life <= minRenewal {
		return time.Time{}
	}
	life = time.Duration(float64(life) * (0.78 + 0.04*rand.Float64()))
	return now.Add(max(life, minRenewal))
}

// ackLimit is when an acknowledgement is overdue that is waited for since then.
func (s *Session) ackLimit(since time.Duration) time.Duration {
	if s.o.AckTimeout == 0 || since > never-s.o.AckTimeout {
		return never
	}
	return since + s.o.AckTimeout
}

// connectLimit is when the attempt that begins now has taken too long.
func (s *Session) connectLimit() time.Duration {
	now := s.now()
	return now + min(s.o.ConnectTimeout, never-now)
}

// overdue says for how long, and with which verdict, the server has owed something, and
// else when it is to be looked at again.
func (s *Session) overdue(l *link, now time.Duration) (next time.Duration, verdict error) {
	since := never
	if at, ok := s.out.oldest(); ok {
		since = at
	}
	if l.inWrite {
		since = min(since, l.writeSince)
	}
	for _, r := range s.requests {
		if r.sent {
			since = min(since, r.sentAt)
		}
	}
	next = s.ackLimit(since)
	if now >= next {
		return 0, silence(ErrAckTimeout, now-since)
	}
	keep := s.o.KeepAlive
	if keep == 0 {
		return next, nil
	}
	read := time.Duration(l.lastRead.Load())
	if now >= read+keep*3/2 {
		return 0, silence(ErrKeepAlive, now-read)
	}
	return min(next, read+keep*3/2), nil
}

// pingDue returns when to send a PINGREQ: when nothing has come for KeepAlive,
// and none was sent since; or when nothing has gone out for as long.
func (s *Session) pingDue(l *link) time.Duration {
	keep := s.o.KeepAlive
	if keep == 0 {
		return never
	}
	due := max(l.lastWrite, l.pingAt) + keep
	if read := time.Duration(l.lastRead.Load()); l.pingAt <= read {
		due = min(due, read+keep)
	}
	return due
}

// tick runs when a time comes that matters to the connection. A session has
// one timer for all of them.
func (s *Session) tick() {
	s.mu.Lock()
	s.timerOn = false
	var why error
	l := s.link
	if l != nil && l.up {
		now := s.now()
		_, why = s.overdue(l, now)
		if now >= s.pingDue(l) {
			l.pingAt = now
			s.ctl = (*Pingreq)(nil).AppendTo(s.ctl)
		}
		if s.renewDue(l) {
			l.leaving = forRenewal
			l.leaveBy = now + renewDrain
			s.leaveLocked(l)
		}
		if l.leaving == forRenewal && now >= l.leaveBy {
			if l.bye {
				why = ErrRenewal // the DISCONNECT is stuck
			}
			l.bye = true
			l.leaveBy += renewDrain
		}
		s.kickLocked(l)
		s.out.trim()
		if s.out.used == 0 {
			s.waiters.trim()
		}
		s.schedule(l)
	} else if l != nil && l.dead == nil {
		if s.now() >= l.by {
			why = fmt.Errorf("mqtt: no CONNACK within %v: %w", s.o.ConnectTimeout, os.ErrDeadlineExceeded)
		} else {
			s.wakeAt(l.by)
		}
	}
	s.mu.Unlock()
	if why != nil {
		s.kill(l, why)
	}
	s.mu.Lock()
	s.helpers--
	s.changed.Broadcast()
	s.mu.Unlock()
}

// renewDue reports whether it is time for a fresh login.
func (s *Session) renewDue(l *link) bool {
	return !l.renewAt.IsZero() && l.leaving == staying && !time.Now().Round(0).Before(l.renewAt)
}

// schedule sets the timer for the next time that matters to l.
func (s *Session) schedule(l *link) {
	now := s.now()
	next, _ := s.overdue(l, now)
	next = min(next, s.pingDue(l))
	switch {
	case l.leaving == forRenewal:
		next = min(next, l.leaveBy)
	case l.leaving == staying && !l.renewAt.IsZero():
		next = min(next, now+l.renewAt.Sub(time.Now().Round(0)))
	}
	s.wakeAt(next)
}

// wakeAt has tick run at t at the latest.
func (s *Session) wakeAt(t time.Duration) {
	if t == never || s.timerOn && s.timerAt <= t || s.cause != nil {
		return
	}
	d := max(t-s.now(), 0)
	switch {
	case s.timerOn && !s.timer.Stop():
		return // it has fired: tick will look at everything
	case s.timerOn:
	default:
		s.helpers++ // tick's goroutine, to be
	}
	s.timerOn, s.timerAt = true, t
	if s.timer == nil {
		s.timer = time.AfterFunc(d, s.tick)
	} else {
		s.timer.Reset(d)
	}
}

// stopTimer takes back what wakeAt did, if it still can.
func (s *Session) stopTimer() {
	if s.timerOn && s.timer.Stop() {
		s.timerOn = false
		s.helpers--
	}
}
