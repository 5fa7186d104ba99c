//go:build unix

// Command measure runs another program and prints how long it took as a line in the form of
// Go's benchmarks, for scripts/bench:
//
//	measure start NAME ROUNDS COMMAND...     from its start to its exit, at best
//	measure answer NAME ROUNDS COMMAND...    from one byte to the byte that it answers with
//	measure through NAME BYTES COMMAND...    from its start to its exit, with BYTES of input
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"
)

const (
	// pause is how long nothing is sent before each byte: what can be done before the
	// byte comes is done then.
	pause = 20 * time.Millisecond
	// unmeasured is how many bytes go there and back before the first that counts.
	unmeasured = 10
	// pieceSize is how many bytes are written at once, so that it costs little.
	pieceSize = 256 << 10
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 4 {
		return errors.New("wanted: start, answer or through, a name, a number and a command")
	}
	name, command := args[1], args[3:]
	n, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil || n <= 0 {
		return fmt.Errorf("%q is not a positive number", args[2])
	}
	switch args[0] {
	case "start":
		return start(name, int(n), command)
	case "answer":
		return answer(name, int(n), command)
	case "through":
		return through(name, n, command)
	}
	return fmt.Errorf("unknown measurement %q", args[0])
}

func program(command []string) *exec.Cmd {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	return cmd
}

// start prints the shortest time of several.
func start(name string, rounds int, command []string) error {
	var best time.Duration
	for i := range rounds {
		began := time.Now()
		if err := program(command).Run(); err != nil {
			return fmt.Errorf("%v: %w", command, err)
		}
		if took := time.Since(began); i == 0 || took < best {
			best = took
		}
	}
	fmt.Printf("Benchmark%s %d %d ns/op\n", name, rounds, best.Nanoseconds())
	return nil
}

// answer prints the median: a byte that finds the other end busy with its keys is no
// exception that the best of many would be right to hide.
func answer(name string, rounds int, command []string) error {
	cmd := program(command)
	to, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	from, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	times := make([]time.Duration, 0, rounds)
	for i := range unmeasured + rounds {
		time.Sleep(pause)
		b := []byte{byte(i)}
		began := time.Now()
		if _, err = to.Write(b); err == nil {
			_, err = io.ReadFull(from, b)
		}
		took := time.Since(began)
		if err == nil && b[0] != byte(i) {
			err = errors.New("another byte came back")
		}
		if err != nil {
			_ = cmd.Process.Kill()
			return fmt.Errorf("%v: %w", command, errors.Join(err, cmd.Wait()))
		}
		if i >= unmeasured {
			times = append(times, took)
		}
	}
	to.Close()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%v: %w", command, err)
	}
	slices.Sort(times)
	fmt.Printf("Benchmark%s %d %d ns/op\n", name, rounds, times[rounds/2].Nanoseconds())
	return nil
}

// through prints the throughput, and the greatest memory of the command or of one that it
// has waited for. The input is zeros, and the output is dropped.
func through(name string, n int64, command []string) error {
	cmd := program(command)
	to, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	piece := make([]byte, pieceSize)
	for left := n; left > 0 && err == nil; left -= int64(len(piece)) {
		piece = piece[:min(left, pieceSize)]
		_, err = to.Write(piece)
	}
	err = errors.Join(err, to.Close(), cmd.Wait())
	took := time.Since(began)
	if err != nil {
		return fmt.Errorf("%v: %w", command, err)
	}
	peak := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss // in KiB on Linux
	fmt.Printf("Benchmark%s 1 %d ns/op %.2f MB/s %.1f peak-MiB\n",
		name, took.Nanoseconds(), float64(n)/took.Seconds()/1e6, float64(peak)/1024)
	return nil
}
