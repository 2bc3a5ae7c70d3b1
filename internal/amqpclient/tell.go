package amqpclient

// tales are what is to be told: ends, and that there is room. Whoever brings it about may hold locks that the callback
// needs, so it is told by the goroutine that reads, behind the frame that it acts on, or by one that
// lives while somebody is to be told.
type tales struct {
	untold  []tale
	at      int  // of them
	telling bool // somebody is at it
}

// tale is one callback: f, or that of a sender that may be ready.
type tale struct {
	f     func()
	ready *Sender
}

// keptTales is how much room for tales a connection keeps.
const keptTales = 64

func (c *Conn) tellLater(t tale) { c.untold = append(c.untold, t) }

// tell tells all who are to be told, unless somebody else does. The caller holds the lock, which is let go meanwhile.
func (c *Conn) tell() {
	if len(c.untold) > 0 && !c.telling {
		c.telling = true
		c.tellAll()
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
		c.tellAll()
	}()
}

func (c *Conn) tellAll() {
	for c.tales.at < len(c.untold) {
		t := c.untold[c.tales.at]
		c.untold[c.tales.at] = tale{}
		if c.tales.at++; c.tales.at >= keptTales && 2*c.tales.at >= len(c.untold) { // callbacks may bring about others for ever
			n := copy(c.untold, c.untold[c.tales.at:])
			clear(c.untold[n:])
			c.untold, c.tales.at = c.untold[:n], 0
		}
		c.mu.Unlock()
		if l := t.ready; l != nil {
			l.onReady()
			c.returned(&l.link)
			continue
		}
		t.f()
		c.mu.Lock()
	}
	if c.untold, c.tales.at = c.untold[:0], 0; cap(c.untold) > keptTales {
		c.untold = nil
	}
	c.telling = false
	c.changed.Broadcast()
}

// called begins a callback of a link, and returned ends it: its end is told when no other is under way.
func (c *Conn) called(l *link) {
	l.calls++
	c.mu.Unlock()
}

func (c *Conn) returned(l *link) {
	c.mu.Lock()
	l.calls--
	c.farewell(l)
}

// farewell has the end of a link told, unless a callback of it is under way.
func (c *Conn) farewell(l *link) {
	if l.state < linkDetaching || l.calls > 0 || l.told || !l.attached {
		return
	}
	l.told = true
	if l.onEnd == nil {
		c.farewelled(l)
		return
	}
	c.tellLater(tale{f: func() {
		l.onEnd(l.why)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.farewelled(l)
	}})
}

// farewelled takes note that the end of a link has been told: when all links have been, their session is.
func (c *Conn) farewelled(l *link) {
	l.session.untold--
	c.farewellSession(l.session)
}

func (c *Conn) farewellSession(s *Session) {
	if s.state < sessionEnding || s.untold > 0 || s.told || !s.begun {
		return
	}
	s.told = true
	if f := s.onEnd; f != nil {
		c.tellLater(tale{f: func() { f(s.why) }})
	}
}
