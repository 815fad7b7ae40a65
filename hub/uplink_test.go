package hub

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"storehub/hq"
)

// deaf is a headquarters that says nothing until whoever asks gives up.
type deaf struct{ HQ }

func (deaf) Store(ctx context.Context) (hq.Store, error) {
	<-ctx.Done()
	return hq.Store{}, ctx.Err()
}

func TestACutEndsWhatIsUnderWayAndIsNobodysWish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUplink(deaf{})
		ended := make(chan error)
		go func() { _, err := u.Store(t.Context()); ended <- err }()
		synctest.Wait()
		u.cut(time.Minute)
		if err := <-ended; !errors.Is(err, errUplinkCut) || errors.Is(err, context.Canceled) {
			t.Errorf("what was under way ended with %v", err)
		}
		if _, err := u.Store(t.Context()); !errors.Is(err, errUplinkCut) {
			t.Errorf("got %v", err)
		}
		u.cut(time.Hour) // cut already: the first one's time counts
		time.Sleep(time.Minute + time.Second)
		if u.isCut() {
			t.Error("the line stays cut beyond its time")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := u.Store(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with the line whole again: %v", err)
		}
		u.mend() // whole already
		u.cut(time.Minute)
		u.mend()
		u.mend()
		if u.isCut() {
			t.Error("mended, and cut")
		}
	})
}
