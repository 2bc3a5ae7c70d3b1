package links

import (
	"context"
	"time"
)

// answerTime is how long who was silent may take to answer the end of a session.
const answerTime = 5 * time.Second

// stalled gives up the session of an attachment whose peer does not do what it must. A peer that answers
// the end of the session is alive, and loses nothing else; one that says nothing at all loses the connection, even if
// it keeps that alive: it may not hear us.
func (s *sender) stalled(gen generation, err error) {
	e := s.core.e
	c := e.c
	c.mu.Lock()
	defer c.mu.Unlock()
	at := s.core.live.Load()
	if at == nil || at.gen != gen || e.session != at.session {
		return
	}
	c.startLocked(func() {
		ctx, cancel := context.WithTimeout(context.Background(), min(answerTime, c.o.OperationTimeout))
		defer cancel()
		heard := at.net.conn.Heard()
		if at.session.End(ctx, nil) == nil {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if at.net.conn.Heard() == heard {
			at.net.failLocked(err)
		} else {
			at.net.unansweredLocked()
		}
	})
	e.sessionLostLocked(asError("connection", s.core.cfg.node, err))
	e.refreshLocked(err)
	e.wakeLocked()
}
