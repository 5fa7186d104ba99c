package keyfile

import (
	"testing"

	"otrpipe/testscripts/slowtest"
)

func init() {
	writers["offline"] = func(h *Home, arg string) error {
		id, err := h.Identity("carol", nil)
		if err != nil {
			return err
		}
		return marked(func() error {
			return h.UpdateOffline(id, func([]byte) ([]byte, error) { return []byte(arg), nil })
		})
	}
}

// TestAnOfflineStateThatIsKilledIsTheOldOrTheNew: the deletion of a prekey and the session
// that it has begun are one write.
func TestAnOfflineStateThatIsKilledIsTheOldOrTheNew(t *testing.T) {
	slowtest.SkipShort(t)
	t.Parallel() // most of it is waiting for the disk
	stride := 1
	if testing.Short() {
		stride = 40
	} else if slowtest.LeftOut() {
		stride = 3
	}
	for _, old := range []string{"", "the prekey"} {
		seen := make(map[string]int)
		for step := 0; ; step += stride {
			h := furnished(t)
			id := carol(t, h, "")
			if old != "" {
				setOffline(t, h, id, old)
			}
			killed := killAtStep(t, writerCommand(t, h, "offline", "the session"), step)
			got := offlineOf(t, h, id)
			if got != old && got != "the session" {
				t.Fatalf("killed at step %d: %q", step, got)
			}
			seen[got]++
			setOffline(t, h, id, "the next")
			whole(t, h, step)
			if !killed {
				if got != "the session" {
					t.Errorf("not killed, but: %q", got)
				}
				break
			}
		}
		if seen[old] == 0 {
			t.Error("it was never killed before the write was done")
		}
		t.Logf("%v", seen)
	}
}
