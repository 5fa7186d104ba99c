package v4

import (
	"bytes"
	"testing"
	"time"

	"otrpipe/otr/wire"
)

func FuzzParseEnsemble(f *testing.F) {
	e := newOfflineEnds(f)
	f.Add(e.publication.Ensemble(e.prekey).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEnsemble(b)
		if err != nil {
			return
		}
		if got := e.Append(nil); !bytes.Equal(got, b) {
			t.Errorf("%x came back as %x", b, got)
		}
		if _, err := e.Validate(time.Unix(1700000000, 0)); err == nil {
			if again, err := ParseEnsemble(e.Append(nil)); err != nil || again.Digest() != e.Digest() {
				t.Errorf("%x is another ensemble the second time: %v", b, err)
			}
		}
	})
}

func FuzzReadEnsembles(f *testing.F) {
	for _, v := range loadOffline(f).EnsembleFiles {
		f.Add([]byte(v.Text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		valid, refused := ReadEnsembles(b, time.Unix(1700000000, 0))
		if n := bytes.Count(b, []byte(ensembleStart)); len(valid)+len(refused) != min(n, MaxEnsembles+1) {
			t.Errorf("%d of %d ensembles, %d refused", len(valid), n, len(refused))
		}
	})
}

func FuzzReadPrekeyProfile(f *testing.F) {
	for _, v := range loadOffline(f).PrekeyProfiles {
		f.Add([]byte(v.Bytes))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(b)
		if p, err := ReadPrekeyProfile(&r); err == nil && !bytes.Equal(p.Append(nil), b[:r.Pos()]) {
			t.Errorf("%x came back as %x", b[:r.Pos()], p.Append(nil))
		}
	})
}

func FuzzReadPrekeyMessage(f *testing.F) {
	for _, v := range loadOffline(f).PrekeyMessages {
		f.Add([]byte(v.Bytes))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(b)
		if m, err := ReadPrekeyMessage(&r); err == nil && !bytes.Equal(m.Append(nil), b[:r.Pos()]) {
			t.Errorf("%x came back as %x", b[:r.Pos()], m.Append(nil))
		}
	})
}

// FuzzOpen gives a publisher any message: one that is accepted is the honest one, byte for
// byte.
func FuzzOpen(f *testing.F) {
	e := newOfflineEnds(f)
	auth, _, err := e.alice.WriteTo(e.recipient())
	if err != nil {
		f.Fatal(err)
	}
	const header = 11
	f.Add(auth[header:])
	f.Add(append(bytes.Clone(auth[header:]), 0))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := ParseNonInteractiveAuth(body)
		if err == nil && !bytes.Equal(m.Append(nil), body) {
			t.Errorf("%x came back as %x", body, m.Append(nil))
		}
		h := wire.Header{Version: Version, Type: wire.TypeNonInteractiveAuth, Sender: e.alice.InstanceTag, Receiver: e.bob.InstanceTag}
		if _, err := e.bob.Open(h, body, e.find); err == nil && !bytes.Equal(body, auth[header:]) {
			t.Errorf("%x is accepted", body)
		}
	})
}

func FuzzReadSession(f *testing.F) {
	e := newOfflineEnds(f)
	_, alice, bob := e.begin()
	sealText(f, alice, "lost")
	mustRead(f, bob, sealText(f, alice, "read"), "read")
	for _, engine := range []*Engine{alice, bob} {
		b, err := engine.AppendSession(nil, 0)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(b)
		engine, err := e.bob.ReadSession(&r)
		if err != nil {
			return
		}
		written, err := engine.AppendSession(nil, 0)
		if err != nil {
			t.Fatalf("%x is read and cannot be written: %v", b, err)
		}
		// Only a scalar may be written in another form: it is reduced and not compared with
		// its bound, which would take a time that depends on it.
		r = wire.NewReader(written)
		if engine, err = e.bob.ReadSession(&r); err != nil || len(written) != r.Pos() {
			t.Fatalf("%x is written and cannot be read: %v", written, err)
		}
		if again, err := engine.AppendSession(nil, 0); err != nil || !bytes.Equal(written, again) {
			t.Errorf("%x is written, and then %x: %v", written, again, err)
		}
	})
}

func FuzzReadPublication(f *testing.F) {
	e := newOfflineEnds(f)
	f.Add(e.publication.AppendSecret(nil))
	f.Add(e.prekey.AppendSecret(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(b)
		if p, err := ReadPublication(&r); err == nil && !bytes.Equal(p.AppendSecret(nil), b[:r.Pos()]) {
			t.Errorf("%x came back as %x", b[:r.Pos()], p.AppendSecret(nil))
		}
		r = wire.NewReader(b)
		k, err := ReadPrekey(&r)
		if err != nil {
			return
		}
		// As in FuzzReadSession, only a scalar may be written in another form.
		written := k.AppendSecret(nil)
		again := wire.NewReader(written)
		if k, err = ReadPrekey(&again); err != nil || len(written) != r.Pos() || !bytes.Equal(k.AppendSecret(nil), written) {
			t.Errorf("%x came back as %x: %v", b[:r.Pos()], written, err)
		}
	})
}
