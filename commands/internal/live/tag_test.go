package live

import (
	"path/filepath"
	"testing"

	"otrpipe/commands/internal/exit"
	"otrpipe/keyfile"
)

// Several processes of one identity are clients with tags of their own, and the same ones at
// their next start. One that has left its peer without an end is not taken again.
func TestASecondProcessOfAnIdentityHasItsTagAgain(t *testing.T) {
	home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
	id := *identities()[0]
	if err := home.Create(&id, nil); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	begin := func(name string) (*Session, uint32, int) {
		s := newSession(t, name)
		s.cfg.Home, s.cfg.Dir, s.cfg.Name.Home = home, dir, "home"
		s.setup.AtHome = true
		t.Cleanup(func() { s.cfg.Listener.Close() })
		tag, client, err := s.takeInstanceTag(&id, false)
		if err != nil {
			t.Fatal(err)
		}
		return s, tag, client
	}
	first, tag1, client1 := begin("a")
	second, tag2, client2 := begin("b")
	_, tag3, client3 := begin("c")
	if tag1 != id.InstanceTag || client1 != 1 || client2 != 2 || client3 != 3 || tag2 == tag1 || tag3 == tag2 || tag3 == tag1 {
		t.Fatalf("clients %d, %d and %d have the tags %x, %x and %x", client1, client2, client3, tag1, tag2, tag3)
	}
	second.giveTagBack(nil)
	second, tag, client := begin("b")
	if tag != tag2 || client != 2 {
		t.Errorf("the second is client %d with the tag %x at its next start, and had %x", client, tag, tag2)
	}
	// Its session breaks, and may live on at the peer.
	second.peer = second.describe(second.session, "", "")
	second.giveTagBack(exit.Errorf(exit.Broken, "cut"))
	_, tag, client = begin("d")
	if tag == tag1 || tag == tag2 || tag == tag3 || client != 4 {
		t.Errorf("after that it is client %d with the tag %x", client, tag)
	}
	first.giveTagBack(nil)
	if _, tag, client = begin("e"); tag != tag1 || client != 1 {
		t.Errorf("the first is client %d with the tag %x at its next start", client, tag)
	}
	// A fresh tag is nobody's.
	fresh := newSession(t, "g")
	t.Cleanup(func() { fresh.cfg.Listener.Close() })
	fresh.cfg.Home, fresh.cfg.Dir, fresh.cfg.Name.Home, fresh.setup.AtHome = home, dir, "home", true
	if tag, client, err := fresh.takeInstanceTag(&id, true); err != nil || client != 0 || tag == tag1 || fresh.tag != nil {
		t.Errorf("a fresh one: client %d with the tag %x, %v", client, tag, err)
	}
	// An identity from elsewhere has nothing that is kept.
	s := newSession(t, "f")
	t.Cleanup(func() { s.cfg.Listener.Close() })
	s.cfg.Home, s.cfg.Dir, s.cfg.Name.Home = home, dir, "home"
	if tag, client, err := s.takeInstanceTag(&id, false); err != nil || client != 0 || tag == tag1 {
		t.Errorf("client %d with the tag %x, %v", client, tag, err)
	}
}
