package links

func (e *entity) start(f func()) bool {
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	if e.life.Err() != nil {
		return false
	}
	e.c.startLocked(f)
	return true
}
