package commands

import (
	"runtime/debug"
	"testing"
)

func TestTheVersionNamesReleaseCommitAndGo(t *testing.T) {
	commit := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"}
	changed := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	for _, test := range []struct {
		version  string
		settings []debug.BuildSetting
		want     string
	}{
		{"v1.2.3", []debug.BuildSetting{commit}, "1.2.3, commit 0123456789ab, go1.26"},
		{"v1.2.3", []debug.BuildSetting{commit, changed}, "1.2.3, commit 0123456789ab with changes, go1.26"},
		{"(devel)", nil, "devel, go1.26"},
		{"", nil, "unknown, go1.26"},
	} {
		info := &debug.BuildInfo{GoVersion: "go1.26", Settings: test.settings}
		info.Main.Version = test.version
		if got := describeBuild(info); got != test.want {
			t.Errorf("%q with %v: %q, not %q", test.version, test.settings, got, test.want)
		}
	}
}
