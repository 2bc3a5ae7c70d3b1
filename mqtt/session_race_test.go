package mqtt

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAPublishThatIsCancelledAsTheSessionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, hushed)
		s := f.start(SessionOptions{})
		// What Publish does, stopped between the end of its context and its look at
		// what became of the publish.
		w := s.newWaiter()
		seq, err := s.accept(t.Context(), message("x"), completion{wait: w})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := s.withdraw(ctx, seq, w); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v, want %v", err, ErrSessionClosed)
		}
	})
}

func TestAThousandPublishesThatAreCancelledAsTheSessionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, hushed)
		s := f.start(SessionOptions{CloseTimeout: 1})
		ctx, cancel := context.WithCancel(t.Context())
		var publishers sync.WaitGroup
		for range 1000 {
			publishers.Go(func() {
				if err := s.Publish(ctx, message("x")); !errors.Is(err, context.Canceled) && !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		cancel()
		s.Close()
		publishers.Wait()
	})
}

func TestTheEndOfASessionCountsAlsoWhenItIsSeenLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, well)
		s := f.start(SessionOptions{})
		s.Close()
		for range 100 { // a select would choose at random
			if !s.awaitDone(-time.Second) {
				t.Fatal("it has ended, and that is not seen")
			}
		}
	})
}
