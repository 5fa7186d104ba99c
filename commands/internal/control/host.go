package control

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// maxHost bounds the file that says which session a socket belongs to, in bytes: two paths and a
// session's name, with every byte escaped.
const maxHost = 64 << 10

// A socketHost describes the process that hosts a session, as recorded in the lock file beside
// its socket.
type socketHost struct {
	Silent
	socket string
}

// writeHost records in a lock file which session its holder hosts, so that others know even if
// the host does not answer.
func writeHost(path string, n Name) error {
	line, err := json.Marshal(Silent{n, os.Getpid()})
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC|noFollow, 0)
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	_, err = f.Write(line)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	return nil
}

// hostsIn returns the sockets in dir whose session matches the filter, and those whose session
// is unknown. If the folder does not exist, there are none.
func hostsIn(dir string, filter Filter) (hosts []socketHost) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), socketSuffix)
		if !ok {
			continue
		}
		h := socketHost{socket: filepath.Join(dir, e.Name())}
		known := readHost(filepath.Join(dir, name+lockSuffix), &h.Silent)
		if !known || filter.matches(h.Name) {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// readHost sets s to what a lock file says about its holder; false: it says nothing, and s is
// unchanged.
func readHost(path string, s *Silent) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Size() > maxHost {
		return false
	}
	line, err := os.ReadFile(path)
	var read Silent
	if err != nil || json.Unmarshal(line, &read) != nil {
		return false
	}
	*s = read
	return true
}
