// Package backoff says how long a client waits before it tries again, for all protocols.
package backoff

import (
	"math/rand/v2"
	"time"
)

// Wait returns the n-th wait, from 0: random between 0 and min(most, least·2ⁿ), and more
// than 0. Full jitter, and so the first time too, as a fleet that was cut off together
// would else come back in step. least and most must be more than 0.
func Wait(n int, least, most time.Duration) time.Duration {
	limit := most
	if n < 32 && least <= most>>n {
		limit = least << n
	}
	return rand.N(limit) + 1
}
