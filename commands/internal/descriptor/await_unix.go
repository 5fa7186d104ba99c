//go:build unix

package descriptor

import (
	"time"

	"golang.org/x/sys/unix"
)

// Forever is no limit of Await.
const Forever time.Duration = -1

// Await waits until at least one of the descriptors can be read, or written if write is set, but
// no longer than limit. It reports which ones can. One at its
// end, or with an error, counts too. A signal may end the wait with unix.EINTR.
func Await(limit time.Duration, write bool, fds ...int) (ready []bool, err error) {
	// On macOS poll(2) does not work for terminals. But select(2) has no room for high numbers.
	var set unix.FdSet
	last := 0
	for _, fd := range fds {
		if fd < 0 || fd >= unix.FD_SETSIZE {
			return poll(limit, write, fds)
		}
		set.Set(fd)
		last = max(last, fd)
	}
	var timeout *unix.Timeval
	if limit >= 0 {
		t := unix.NsecToTimeval(int64(limit))
		timeout = &t
	}
	if write {
		_, err = unix.Select(last+1, nil, &set, nil, timeout)
	} else {
		_, err = unix.Select(last+1, &set, nil, nil, timeout)
	}
	if err != nil {
		return nil, err
	}
	for _, fd := range fds {
		ready = append(ready, set.IsSet(fd))
	}
	return ready, nil
}

// poll is Await with poll(2).
func poll(limit time.Duration, write bool, fds []int) (ready []bool, err error) {
	events := int16(unix.POLLIN)
	if write {
		events = unix.POLLOUT
	}
	var polled []unix.PollFd
	for _, fd := range fds {
		polled = append(polled, unix.PollFd{Fd: int32(fd), Events: events})
	}
	milliseconds := -1
	if limit >= 0 {
		milliseconds = int(limit.Milliseconds())
	}
	if _, err := unix.Poll(polled, milliseconds); err != nil {
		return nil, err
	}
	for _, p := range polled {
		ready = append(ready, p.Revents != 0)
	}
	return ready, nil
}
