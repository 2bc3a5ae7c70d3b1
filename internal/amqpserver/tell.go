package amqpserver

// farewells are the nodes and sessions that have ended and have not been told. Whoever ends them
// may hold locks that they need, so they are told by the goroutine of Serve behind the frame that it acts on, or
// by one that lives while somebody is to be told.
type farewells struct {
	untold  []func()
	telling bool // that goroutine is at it
}

// tell tells all who are to be told. The caller holds the lock, which is let go meanwhile.
func (c *Conn) tell() {
	for len(c.untold) > 0 {
		f := c.untold[0]
		if c.untold = c.untold[1:]; len(c.untold) == 0 {
			c.untold = nil
		}
		c.mu.Unlock()
		f()
		c.mu.Lock()
	}
}

// wakeTeller sees to it that all are told who are to be, by somebody else.
func (c *Conn) wakeTeller() {
	if len(c.untold) == 0 || c.telling {
		return
	}
	c.telling = true
	go func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.tell()
		c.telling = false
		c.changed.Broadcast()
	}()
}

// called begins a call of a node, and returned ends it: a node is told of the end when no call is under way.
func (c *Conn) called(l *Link) {
	l.calls++
	c.mu.Unlock()
}

func (c *Conn) returned(l *Link) {
	c.mu.Lock()
	l.calls--
	c.farewell(l)
}

// farewell puts a link that has ended on the list, unless its node is being called.
func (c *Conn) farewell(l *Link) {
	if l.state < linkDetaching || l.calls > 0 || l.told || l.node == nil {
		return
	}
	l.told = true
	c.untold = append(c.untold, func() {
		l.node.Detached(l.why)
		c.mu.Lock()
		defer c.mu.Unlock()
		l.session.nodes--
		l.session.farewell()
	})
}

// farewell puts a session that has ended on the list, when all of its nodes have been told.
func (s *Session) farewell() {
	if s.state == sessionOpen || s.nodes > 0 || s.told {
		return
	}
	s.told = true
	if ended := s.conn.handler.Ended; ended != nil {
		s.conn.untold = append(s.conn.untold, func() { ended(s, s.why) })
	}
}
