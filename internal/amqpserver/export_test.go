package amqpserver

// SetSerials puts the numbers that a session gives out near their end.
func (s *Session) SetSerials(nextTransfer, nextDelivery uint32) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.nextOut, s.nextDelivery = nextTransfer, nextDelivery
}

// Stalled returns how many links wait for the window of their session.
func (c *Conn) Stalled() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sessions {
		n += len(s.stalled)
	}
	return n
}
