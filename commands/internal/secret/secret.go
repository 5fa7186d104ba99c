// Package secret gets passphrases and shared secrets: from files, inherited file
// descriptors, the environment and the terminal. A secret is a byte slice from
// the moment it is read until its owner wipes it, and never a string.
package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"otrpipe/commands/internal/descriptor"
	"otrpipe/commands/internal/exit"
)

// MaxLen is the maximum length of a secret in bytes. If a file is longer, the user has named the
// wrong one.
const MaxLen = 4096

// The endings of the two flags that name a secret's source.
const (
	FileFlag = "-file"
	FDFlag   = "-fd"
)

// Flags holds the values of the two flags of a secret, --NAME-file and --NAME-fd.
type Flags struct {
	Name    string // NAME
	File    string
	HasFile bool
	FD      int
	HasFD   bool
	// Env is the secret from the environment, returned by TakeEnv, for use if neither flag is
	// given. The Source takes ownership of it.
	Env []byte
	// CheckFile, unless nil, refuses a file that is not private enough.
	CheckFile func(path string, info fs.FileInfo) error
}

// check refuses flags that contradict each other and descriptors that the program was not given.
func (f *Flags) check() error {
	if f.HasFile && f.HasFD {
		return exit.Errorf(exit.Usage, "--%s and --%s contradict each other", f.Name+FileFlag, f.Name+FDFlag)
	}
	if !f.HasFD {
		return nil
	}
	switch {
	case f.FD < 0:
		return exit.Errorf(exit.Usage, "--%s: %d is no file descriptor", f.Name+FDFlag, f.FD)
	case f.FD == 1 || f.FD == 2:
		return exit.Errorf(exit.Usage, "--%s: file descriptor %d is for output", f.Name+FDFlag, f.FD)
	}
	if err := descriptor.Check(f.FD); f.FD != 0 && err != nil {
		return exit.Errorf(exit.KeyFile, "--%s: %w", f.Name+FDFlag, exit.Plain(err)).
			WithHint("open it on the command line: %d< FILE", f.FD)
	}
	return nil
}

// A Source is the source of one secret, as the user has chosen it.
type Source struct {
	flags Flags
	value []byte // from a descriptor or the environment; owned by the Source
	given bool   // value is the secret, even an empty one
}

// Open makes the sources for all secret flags of a command. It first checks all of them, then
// reads and closes every descriptor, so that no program started later inherits one, even if its
// secret is never needed. Descriptor 0 is stdin, which is read to its end and stays open.
func Open(all []Flags, stdin *os.File) ([]*Source, error) {
	byFD := map[int]string{}
	for i := range all {
		f := &all[i]
		if err := f.check(); err != nil {
			return nil, err
		}
		if !f.HasFD {
			continue
		}
		if other, ok := byFD[f.FD]; ok {
			return nil, exit.Errorf(exit.Usage, "--%s and --%s name the same file descriptor", other, f.Name+FDFlag)
		}
		byFD[f.FD] = f.Name + FDFlag
	}
	sources := make([]*Source, len(all))
	for i, f := range all {
		s := &Source{flags: f}
		sources[i] = s
		switch {
		case f.HasFD:
			if err := s.readDescriptor(stdin); err != nil {
				for _, s := range sources[:i] {
					s.Wipe()
				}
				return nil, err
			}
		case f.Env != nil && !f.HasFile:
			s.value, s.given = f.Env, true
		default:
			clear(f.Env)
		}
	}
	return sources, nil
}

func (s *Source) readDescriptor(stdin *os.File) error {
	f := stdin
	if s.flags.FD != 0 {
		f = os.NewFile(uintptr(s.flags.FD), fmt.Sprintf("file descriptor %d", s.flags.FD))
		defer f.Close()
	}
	value, err := read(f)
	if err != nil {
		return exit.Errorf(exit.KeyFile, "--%s: %w", s.flags.Name+FDFlag, err)
	}
	s.value, s.given = value, true
	return nil
}

// Name returns the common part of the names of the secret's two flags.
func (s *Source) Name() string { return s.flags.Name }

// FromFlags reports whether one of the secret's two flags was given.
func (s *Source) FromFlags() bool { return s.flags.HasFile || s.flags.HasFD }

// Read returns the secret without the newline at its end; ok is false if the user has named no
// source. Each call returns a separate copy, which the caller wipes.
func (s *Source) Read() (secret []byte, ok bool, err error) {
	if s.flags.HasFile {
		secret, err = s.readFile()
		return secret, err == nil, err
	}
	if !s.given {
		return nil, false, nil
	}
	return append([]byte{}, s.value...), true, nil
}

func (s *Source) readFile() ([]byte, error) {
	f, err := os.Open(s.flags.File)
	if err != nil {
		return nil, s.fileError(err)
	}
	defer f.Close()
	if s.flags.CheckFile != nil {
		info, err := f.Stat()
		if err != nil {
			return nil, s.fileError(err)
		}
		if err := s.flags.CheckFile(s.flags.File, info); err != nil {
			return nil, err
		}
	}
	secret, err := read(f)
	if err != nil {
		return nil, s.fileError(err)
	}
	return secret, nil
}

func (s *Source) fileError(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = fmt.Errorf("%s: %w", path.Path, path.Err)
	}
	return exit.Errorf(exit.KeyFile, "--%s: %w", s.flags.Name+FileFlag, err)
}

// Wipe overwrites the secret that the Source keeps. Read returns an empty secret
// from then on, unless it comes from a file.
func (s *Source) Wipe() {
	clear(s.value)
	s.value = nil
}

// read reads a secret to the end of r, into one buffer that never moves, and
// drops one newline at its end.
func read(r io.Reader) ([]byte, error) {
	b := make([]byte, MaxLen+len("\r\n")+1)
	n, err := io.ReadFull(r, b)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		clear(b)
		return nil, err
	}
	secret := b[:n]
	if short, ok := bytes.CutSuffix(secret, []byte("\n")); ok {
		secret = bytes.TrimSuffix(short, []byte("\r"))
	}
	if len(secret) > MaxLen {
		clear(b)
		return nil, fmt.Errorf("a secret of more than %d bytes", MaxLen)
	}
	return secret, nil
}
