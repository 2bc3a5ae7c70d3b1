package conns

import (
	"sync"

	"github.com/hubwire/hubwire"
)

// Current is which of a front's connections each identity has. The zero Current is empty.
type Current[C comparable] struct {
	mu sync.Mutex
	of map[hubwire.Identity]C
}

// Set makes c the connection of an identity, if its session lasts: else another one has taken
// over, and may be here already.
func (u *Current[C]) Set(id hubwire.Identity, c C, lasts func() bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !lasts() {
		return
	}
	if u.of == nil {
		u.of = map[hubwire.Identity]C{}
	}
	u.of[id] = c
}

// Forget undoes Set, unless the identity has another connection by now.
func (u *Current[C]) Forget(id hubwire.Identity, c C) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.of[id] == c {
		delete(u.of, id)
	}
}

// Of returns the connection of an identity, or the zero C.
func (u *Current[C]) Of(id hubwire.Identity) C {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.of[id]
}

// Len returns how many identities have a connection.
func (u *Current[C]) Len() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.of)
}
