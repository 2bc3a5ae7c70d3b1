package amqpserver

// SetSerials puts the numbers that a session gives out near their end.
func (s *Session) SetSerials(nextTransfer, nextDelivery uint32) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.nextOut, s.nextDelivery = nextTransfer, nextDelivery
}
