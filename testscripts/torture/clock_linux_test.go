package torture

import (
	"bytes"
	crand "crypto/rand"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/stream"
)

// A jumpingClock is set forward and back. Its timers know nothing of that.
type jumpingClock struct {
	mu     sync.Mutex
	offset time.Duration
}

// Now has no monotonic part, by which package time would see that the clock was set.
func (c *jumpingClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Round(0).Add(c.offset)
}

func (c *jumpingClock) AfterFunc(d time.Duration, f func()) stream.Timer { return time.AfterFunc(d, f) }

func (c *jumpingClock) jump(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += by
}

// clockKeys are the keys of two identities.
var clockKeys = sync.OnceValues(func() (all [2]otr.Config, err error) {
	for i := range all {
		c := &all[i]
		if c.DSA, err = keys.GenerateDSA(crand.Reader); err != nil {
			return all, err
		}
		if c.Ed448, err = keys.GenerateEd448(crand.Reader); err != nil {
			return all, err
		}
		if c.Forging, err = keys.GenerateForgingKey(crand.Reader); err != nil {
			return all, err
		}
		c.InstanceTag, c.Rand = uint32(0x1000+i), crand.Reader
	}
	return all, nil
})

// someJump is up to some seconds, a minute, an hour, a week, a year or a century.
func someJump(random *rand.Rand) time.Duration {
	most := []time.Duration{4 * time.Second, time.Minute, time.Hour, 7 * 24 * time.Hour, 365 * 24 * time.Hour, 100 * 365 * 24 * time.Hour}
	return time.Duration(random.Int64N(int64(most[random.IntN(len(most))])))
}

// TestClocksThatJumpChangeNothingThatIsDelivered lets the clocks of both ends of a stream jump
// forward while it runs, as if the machine had slept. What arrives is exact, or the stream fails;
// and it ends. (Whoever sets a clock back does not change the one that the program measures times
// with.)
func TestClocksThatJumpChangeNothingThatIsDelivered(t *testing.T) {
	t.Parallel()
	all, err := clockKeys()
	if err != nil {
		t.Fatal(err)
	}
	var outcomes [2]int // whole, failed
	rounds(t, 1, func(n int, random *rand.Rand) {
		policy := []otr.Policy{otr.AllowV3, otr.AllowV4}[random.IntN(2)] | otr.RequireEncryption
		var clocks [2]jumpingClock
		var ends [2]*stream.Stream
		transports := [2]net.Conn{}
		transports[0], transports[1] = net.Pipe()
		for i := range ends {
			cfg := all[i]
			cfg.Policy, cfg.Now, cfg.Expire = policy, clocks[i].Now, 2*time.Hour
			conversation, err := otr.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			ends[i] = stream.Open(transports[i], stream.Config{
				Conversation: conversation, Clock: &clocks[i], Rand: crand.Reader, Initiate: true,
				Timeout: 10 * time.Second, Heartbeat: 50 * time.Millisecond, Dead: 5 * time.Second,
			})
		}
		var sent, got [2][]byte
		var errs [2]error
		var busy sync.WaitGroup
		stop := make(chan struct{})
		for i, end := range ends {
			sent[i] = payload(random, 200_000)
			choices := rand.New(rand.NewPCG(random.Uint64(), 0))
			busy.Go(func() {
				for rest := sent[i]; len(rest) > 0; {
					n, err := end.Write(rest[:min(len(rest), 1+choices.IntN(20_000))])
					if err != nil {
						return // Wait says why
					}
					rest = rest[n:]
					time.Sleep(time.Duration(choices.IntN(10)) * time.Millisecond)
				}
				end.CloseWrite()
			})
			busy.Go(func() {
				got[i], _ = io.ReadAll(end)
				errs[i] = end.Wait()
				transports[i].Close()
			})
		}
		jumper := rand.New(rand.NewPCG(random.Uint64(), 1))
		var jumping sync.WaitGroup
		calm := n == 0
		jumping.Go(func() {
			for !calm {
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(jumper.IntN(300)) * time.Millisecond):
					// Most jumps are shorter than the time after which a peer counts as gone.
					by := 2 * time.Second
					if jumper.IntN(8) == 0 {
						by = someJump(jumper)
					}
					clocks[jumper.IntN(2)].jump(by)
				}
			}
		})
		finished := make(chan struct{})
		go func() { busy.Wait(); close(finished) }()
		select {
		case <-finished:
		case <-time.After(patience):
			t.Fatal("a stream does not end")
		}
		close(stop)
		jumping.Wait()
		for i := range ends {
			switch {
			case !bytes.HasPrefix(sent[1-i], got[i]):
				t.Error("bytes arrived that were not sent")
			case errs[i] == nil && (len(got[i]) != len(sent[1-i]) || !bytes.Equal(got[1-i], sent[i])):
				t.Error("success, although not everything has arrived")
			case calm && errs[i] != nil:
				t.Errorf("the clocks stood still: %v", errs[i])
			}
			if errs[i] != nil {
				outcomes[1]++
			} else {
				outcomes[0]++
			}
		}
	})
	t.Logf("%d ends have succeeded, %d have failed", outcomes[0], outcomes[1])
}

// TestProfilesOfAWrongClockAreReplaced makes client profiles while the clock is wrong, and has
// sessions once it is right again.
func TestProfilesOfAWrongClockAreReplaced(t *testing.T) {
	t.Parallel()
	all, err := clockKeys()
	if err != nil {
		t.Fatal(err)
	}
	rounds(t, 1, func(n int, random *rand.Rand) {
		var ends [2]*otr.Conversation
		for i := range ends {
			cfg := all[i]
			wrong := someJump(random)
			if random.IntN(2) == 0 {
				wrong = -wrong // it was behind
			}
			clock := &jumpingClock{offset: wrong}
			cfg.Policy, cfg.Now = otr.AllowV4|otr.RequireEncryption, clock.Now
			profile, err := otr.ClientProfile(cfg)
			if err != nil {
				t.Fatal(err)
			}
			clock.jump(-wrong)
			cfg.ClientProfile = profile
			if ends[i], err = otr.New(cfg); err != nil {
				t.Fatal(err)
			}
		}
		from, to := 0, 1
		for lines := ends[0].Query(); len(lines) > 0; from, to = to, from {
			var answers [][]byte
			for _, line := range lines {
				got, err := ends[to].Receive(line)
				if err != nil {
					t.Fatal(err)
				}
				answers = append(answers, got.Send...)
			}
			lines = answers
		}
		for _, end := range ends {
			if session, ok := end.Session(); !ok || session.Version != 4 {
				t.Errorf("there is no session of version 4: %v", end.State())
			}
		}
	})
}
