package live

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A request waits beyond its limit for as long as there is a reason, and no longer.
func TestALimitIsExtendedWhileThereIsAReason(t *testing.T) {
	for _, test := range []struct {
		more []time.Duration
		late time.Duration
	}{
		{nil, time.Minute},
		{[]time.Duration{-time.Second}, time.Minute},
		{[]time.Duration{50 * time.Second, 10 * time.Second}, 2 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			rest := slices.Clone(test.more)
			late := limitUnless(t.Context(), time.Minute, func() (d time.Duration) {
				if len(rest) > 0 {
					d, rest = rest[0], rest[1:]
				}
				return d
			})
			<-late
			if got := time.Since(began); got != test.late {
				t.Errorf("%v after %v", got, test.more)
			}
		})
	}
}

func TestALimitIsNotReachedAfterItsRequestHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		late := limitUnless(ctx, time.Minute, func() time.Duration { return time.Minute })
		time.Sleep(90 * time.Second)
		cancel()
		time.Sleep(time.Hour)
		select {
		case <-late:
			t.Error("it passes")
		default:
		}
	})
}
