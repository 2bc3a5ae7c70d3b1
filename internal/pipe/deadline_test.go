package pipe_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestDeadlinesThatHavePassed are as TLS sets them to end a read or a write. The race detector ends the program when
// they are timers.
func TestDeadlinesThatHavePassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all sync.WaitGroup
		defer all.Wait()
		for range 4 {
			a, b := ends()
			defer b.Close()
			all.Go(func() {
				defer a.Close()
				for range 5000 {
					if err := a.SetDeadline(time.Now()); err != nil {
						t.Error(err)
					}
				}
			})
		}
	})
}
