package main

import (
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

// withoutVersion4 is what an attacker passes on who has no keys and wants two ends to
// speak version 3: every query and whitespace tag offers version 4 no more, and the
// messages of version 4 that come all the same are lost. keep is false for those.
func withoutVersion4(line []byte) (passed []byte, keep bool) {
	switch wire.Classify(line) {
	case wire.KindQuery:
		offered, _ := wire.ParseQuery(line)
		return wire.AppendQuery(nil, offered&^wire.MakeVersions(v4.Version)), true
	case wire.KindTagged:
		offered, text, _ := wire.ParseTag(line)
		return wire.AppendTag(append([]byte(nil), text...), offered&^wire.MakeVersions(v4.Version)), true
	case wire.KindFragment:
		f, err := wire.ParseFragment(line)
		return line, err != nil || f.Version != v4.Version
	case wire.KindEncoded:
		msg, err := wire.AppendDearmored(nil, line)
		if err != nil {
			return line, true
		}
		h, _, err := wire.ParseHeader(msg)
		return line, err != nil || h.Version != v4.Version
	}
	return line, true
}
