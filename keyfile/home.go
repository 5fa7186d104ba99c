package keyfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// The names of files and folders in a home.
const (
	lockFile         = "lock"
	contactsFile     = "contacts.json"
	identitiesFolder = "identities"
	privateFile      = "private.key"
	publicFile       = "public.json"
)

// Prefixes of temporary names. No identity's folder begins with a dot.
const (
	newPrefix     = ".new-"     // an identity that is being created
	removedPrefix = ".removed-" // an identity that is being removed
	trialPrefix   = ".trial-"   // see withoutModes
)

// lockPatience is how long a writer waits for others. A write takes a few milliseconds, and a
// process that dies loses the lock, so only a process that was stopped during a write holds
// the lock for so long.
const lockPatience = 30 * time.Second

// lockPause is the time between two attempts to take the lock.
const lockPause = 5 * time.Millisecond

// A Home is a folder with identities and contacts. Several goroutines may call its methods at
// the same time, and several processes may use the same folder.
type Home struct {
	dir string
	err error // why there is no folder; every method returns it
	// Warn, if not nil, is called with warnings: about files that cannot be protected at the
	// home's location, and about interrupted operations. Set it before the first use. Each
	// warning is given once.
	Warn func(string)

	warned     onceEach
	workFactor int // of scrypt, as a power of two; 0: age's default. Tests lower it
}

// Open returns the home in the folder dir, which need not exist yet: the first write creates
// it. Open itself reads and writes nothing.
func Open(dir string) *Home { return &Home{dir: filepath.Clean(dir)} }

// OpenDefault returns the home in the user's folder for a program's data:
// $XDG_DATA_HOME/program if that variable has an absolute path, otherwise
// ~/.local/share/program or the system's equivalent. If HOME is not set, the user's home
// folder is taken from the password file. If none of them gives an absolute path, every method
// of the Home fails with ErrHome.
func OpenDefault(program string) *Home {
	folder, err := dataFolder()
	if err != nil {
		return &Home{err: err}
	}
	return Open(filepath.Join(folder, program))
}

// dataFolder returns the user's folder for programs' data, as the XDG Base Directory
// Specification says, and what is usual on systems to which it does not apply.
func dataFolder() (string, error) {
	if folder := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(folder) {
		return folder, nil
	}
	if runtime.GOOS == "windows" {
		folder, err := os.UserCacheDir() // %LocalAppData%
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrHome, err)
		}
		return folder, nil
	}
	home, err := userFolder()
	if err != nil {
		return "", err
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(home, "Library", "Application Support"), nil
	}
	return filepath.Join(home, ".local", "share"), nil
}

// userFolder returns the user's home folder.
func userFolder() (string, error) {
	if home := os.Getenv("HOME"); filepath.IsAbs(home) {
		return home, nil
	} else if home != "" {
		return "", fmt.Errorf("%w: HOME is %q, which is no absolute path", ErrHome, home)
	}
	account, err := user.Current()
	if err != nil || !filepath.IsAbs(account.HomeDir) {
		return "", fmt.Errorf("%w: HOME is not set, and the password file names none for user %d", ErrHome, os.Geteuid())
	}
	return account.HomeDir, nil
}

// RealPath returns the home's folder as an absolute path without links, so that all processes
// use the same name for it. The folder need not exist yet.
func (h *Home) RealPath() (string, error) {
	path, err := filepath.Abs(h.dir)
	if err != nil {
		return "", fmt.Errorf("keyfile: %w", err)
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return path, nil
}

// Dir returns the home's folder.
func (h *Home) Dir() string { return h.dir }

func (h *Home) warnOnce(text string) {
	if h.Warn != nil && h.warned.first(text) {
		h.Warn(text)
	}
}

// check returns an error if the home is not private. The home itself may be a symbolic link:
// an attacker who could change the link could change the path as well.
func (h *Home) check() error {
	if h.err != nil {
		return h.err
	}
	info, err := os.Stat(h.dir)
	if err != nil {
		return pathError(err)
	}
	return h.checkPrivate(h.dir, info, folderMode)
}

// identities returns the checked folder of the identities; if there is none yet the error is
// an fs.ErrNotExist.
func (h *Home) identities() (string, error) {
	if err := h.check(); err != nil {
		return "", err
	}
	path := filepath.Join(h.dir, identitiesFolder)
	return path, h.checkFolder(path)
}

// identity returns the checked folder of one identity.
func (h *Home) identity(name string) (string, error) {
	file, err := fileName(name)
	if err != nil {
		return "", err
	}
	folder, err := h.identities()
	if err == nil {
		folder = filepath.Join(folder, file)
		err = h.checkFolder(folder)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: identity %q in %s", ErrNotFound, name, h.dir)
	}
	return folder, err
}

// lock creates the home if necessary, waits until no other process writes, and removes what
// killed writers have left behind.
func (h *Home) lock() (unlock func(), err error) {
	if h.err != nil {
		return nil, h.err
	}
	if err := makeHome(h.dir); err != nil {
		return nil, pathError(err)
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	path := filepath.Join(h.dir, lockFile)
	lock := flock.New(path, flock.SetPermissions(fileMode),
		flock.SetFlag(os.O_CREATE|os.O_RDONLY|openItself))
	ctx, cancel := context.WithTimeout(context.Background(), lockPatience)
	defer cancel()
	_, err = lock.TryLockContext(ctx, lockPause)
	switch {
	case errors.Is(err, syscall.ELOOP):
		return nil, symlinkError(path)
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("%w: another process has held %s for %v", ErrLocked, path, lockPatience)
	case err != nil:
		return nil, pathError(err)
	}
	h.sweep()
	return func() { lock.Close() }, nil
}

// sweep removes what killed writers have left behind. While we hold the lock, nothing with a
// temporary name is in use. Files that cannot be removed are left alone.
func (h *Home) sweep() {
	sweepFolder(h.dir, "."+contactsFile, trialPrefix)
	folder, err := h.identities()
	if err != nil {
		return
	}
	for _, entry := range sweepFolder(folder, newPrefix, removedPrefix, trialPrefix) {
		if entry.IsDir() {
			sweepFolder(filepath.Join(folder, entry.Name()), "."+privateFile, "."+publicFile, "."+offlineFile, "."+profilePrefix, "."+tagPrefix, trialPrefix)
		}
	}
}

// sweepFolder removes the entries with one of the prefixes and returns the others.
func sweepFolder(folder string, prefixes ...string) (rest []fs.DirEntry) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil
	}
next:
	for _, entry := range entries {
		for _, prefix := range prefixes {
			if strings.HasPrefix(entry.Name(), prefix) {
				os.RemoveAll(filepath.Join(folder, entry.Name()))
				continue next
			}
		}
		rest = append(rest, entry)
	}
	return rest
}
