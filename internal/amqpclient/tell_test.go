package amqpclient

import (
	"sync"
	"testing"
)

// Whoever is told may bring about that more is to be told, and so on: what has been told takes no room.
func TestTalesThatNeverEndTakeNoRoom(t *testing.T) {
	c := &Conn{}
	c.changed = sync.NewCond(&c.mu)
	n, most := 0, 0
	var next func()
	next = func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		most = max(most, cap(c.untold))
		if n++; n < 10_000 {
			c.tellLater(tale{f: next})
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tellLater(tale{f: next})
	c.tell()
	if n != 10_000 || most > 4*keptTales || len(c.untold) > 0 || c.telling {
		t.Errorf("%d were told, with room for %d, and %d are left", n, most, len(c.untold))
	}
}
