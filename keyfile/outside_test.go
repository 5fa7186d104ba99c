package keyfile

import (
	"testing"
)

func TestAByteOrderMarkBeforeAKeyFileIsSkipped(t *testing.T) {
	const mark = "\ufeff"
	libotr := append([]byte(mark), aKeyFile()...)
	id, format, err := ReadIdentity(libotr, "file", Account{Name: "alice"}, nil)
	must(t, err)
	if format != FormatLibotr {
		t.Errorf("format %s", format)
	}
	id.InstanceTag = minInstanceTag
	ours := append([]byte(mark), appendIdentity(nil, id)...)
	again, format, err := ReadIdentity(ours, "file", Account{}, nil)
	must(t, err)
	if format != FormatOTRPipe || again.DSA.Public().Fingerprint() != id.DSA.Public().Fingerprint() {
		t.Errorf("format %s, another key", format)
	}
	_, _, err = ReadIdentity(append([]byte(mark), ours...), "file", Account{}, nil)
	wantError(t, err, ErrFormat)
}
