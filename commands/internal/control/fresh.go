package control

import (
	"os"
	"sync"
	"time"
)

// freshEvery is the time between refreshes. A cleaner of temporary files takes those that nothing
// has used for days, or for one day at the least.
const freshEvery = time.Hour

// keepFresh sets the times of files to the present again and again, until stop is called, so that
// a cleaner of temporary files does not remove the files of a long session. A missing file stays
// missing.
func keepFresh(paths ...string) (stop func()) {
	over := make(chan struct{})
	go func() {
		tick := time.NewTicker(freshEvery)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				for _, path := range paths {
					_ = os.Chtimes(path, now, now)
				}
			case <-over:
				return
			}
		}
	}()
	return sync.OnceFunc(func() { close(over) })
}
