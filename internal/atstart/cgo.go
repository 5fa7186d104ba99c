//go:build cgo && unix

package atstart

/*
#include <errno.h>
#include <fcntl.h>

static int closed;

// A constructor runs before the Go runtime does.
__attribute__((constructor)) static void look(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) == -1 && errno == EBADF)
			closed |= 1 << fd;
}

static int closed_at_start(void) { return closed; }
*/
import "C"

// Closed has bit n set if standard descriptor n was closed when the program started.
func Closed() uint { return uint(C.closed_at_start()) }
