package links

// start runs f on a goroutine that e is not gone before, and that its Conn waits for. f must end
// when e does. It reports whether e had not ended.
func (e *entity) start(f func()) bool {
	c := e.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.life.Err() != nil {
		return false
	}
	e.runners++
	c.startLocked(func() {
		defer func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			e.runners--
			e.goneLocked()
		}()
		f()
	})
	return true
}

// goneLocked tells that e is gone, once all of it has been told and nothing runs any more.
func (e *entity) goneLocked() {
	if e.left && e.runners == 0 {
		e.c.tellLocked(&e.tellers, func() { close(e.gone) })
	}
}
