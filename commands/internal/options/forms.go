package options

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"otrpipe/commands/internal/fingerprint"
	"otrpipe/otr/wire"
)

// Bounds with their reasons.
const (
	// maxPad keeps a padded message well below the bound on a line.
	maxPad = 1 << 16
	// maxQuestion is the maximum length of an SMP question in bytes. It is package otr's bound;
	// a person has to read the question.
	maxQuestion = 4096
	// mostSessions bounds the sessions of one server: each needs a few file descriptors and
	// up to some tens of megabytes.
	mostSessions = 1024
	// minLine is the lowest bound on a line that leaves room for part of a message beside a
	// fragment's header. maxLine is the length of the longest possible line.
	minLine, maxLine = 64, 1 << 20
)

func asIs(v string) (string, error) { return v, nil }

// absolutePath makes a path absolute, so that one half can open a file that the other names.
func absolutePath(v string) (string, error) {
	if v == "" {
		return "", errors.New("a file has a name")
	}
	return filepath.Abs(v)
}

func oneOf(values ...string) func(string) (string, error) {
	return func(v string) (string, error) {
		if !slices.Contains(values, v) {
			return "", fmt.Errorf("%q is not one of %s", v, strings.Join(values, ", "))
		}
		return v, nil
	}
}

func number(least, most int) func(string) (string, error) {
	return func(v string) (string, error) {
		n, err := strconv.Atoi(v)
		if err != nil {
			return "", fmt.Errorf("%q is not a number", v)
		}
		if n < least || n > most {
			return "", fmt.Errorf("%d is not between %d and %d", n, least, most)
		}
		return strconv.Itoa(n), nil
	}
}

// Duration reads a duration such as 90s. It refuses negative ones.
func Duration(v string) (string, error) {
	d, err := time.ParseDuration(v)
	if err != nil {
		return "", fmt.Errorf("%q is not a duration such as 90s or 5m", v)
	}
	if d < 0 {
		return "", fmt.Errorf("%s is less than nothing", v)
	}
	return d.String(), nil
}

// expectedKey reads a value of --expect.
func expectedKey(v string) (string, error) {
	f, err := fingerprint.Read(v)
	if err != nil {
		return "", err
	}
	return f.Hex(), nil
}

// named refuses an empty name.
func named(what string) func(string) (string, error) {
	return func(v string) (string, error) {
		if v == "" {
			return "", fmt.Errorf("%s needs a name", what)
		}
		return v, nil
	}
}

// Question refuses an SMP question that cannot be asked.
func Question(v string) (string, error) {
	switch {
	case v == "":
		return "", fmt.Errorf("the question is empty")
	case len(v) > maxQuestion:
		return "", fmt.Errorf("the question has %d bytes; at most %d can be asked", len(v), maxQuestion)
	case strings.IndexByte(v, 0) >= 0:
		return "", fmt.Errorf("a question cannot hold a NUL")
	}
	return v, nil
}

// versions reads the value of --otr: digits in any order.
func versions(v string) (string, error) {
	if v == "" {
		return "", fmt.Errorf("no version is named")
	}
	set, ok := wire.ParseVersions(v)
	if !ok || set&^Spoken != 0 {
		return "", fmt.Errorf("%q names a version that is not spoken here; %v are", v, Spoken)
	}
	return set.Digits(), nil
}
