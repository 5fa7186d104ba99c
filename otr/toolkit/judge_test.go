package toolkit

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

// made4 makes a version 4 data message from an instance, with a numbered MAC key and the MAC
// keys that it reveals.
func made4(t testing.TB, template *Message, sender, receiver uint32, key byte, revealed []byte) string {
	t.Helper()
	d, err := parseData(template)
	if err != nil {
		t.Fatal(err)
	}
	d.header.Sender, d.header.Receiver = sender, receiver
	d.four.Revealed = revealed
	d.remac(bytes.Repeat([]byte{key}, Key4Len))
	return string(d.armored()) + "\n"
}

// A side may reveal the keys of a thousand messages at once. All their messages are found,
// although searching all messages for each key would be too much work.
func TestAThousandRevealedKeysAreFound(t *testing.T) {
	slowtest.SkipShort(t)
	const messages = 1000
	template := &parseText(t, log4(t, true))[3]
	var log strings.Builder
	var keys []byte
	for i := range messages {
		d, err := parseData(template)
		if err != nil {
			t.Fatal(err)
		}
		key := bytes.Repeat([]byte{byte(i), byte(i >> 8)}, Key4Len/2)
		d.four.MessageID = uint32(i)
		d.remac(key)
		keys = append(keys, key...)
		log.Write(append(d.armored(), '\n'))
	}
	log.WriteString(made4(t, template, template.Header.Receiver, template.Header.Sender, 1, keys))
	p := NewParser(strings.NewReader(log.String()))
	var last *Message
	for range messages + 1 {
		var err error
		if last, err = p.Next(); err != nil {
			t.Fatal(err)
		}
	}
	all := last.Fields.Get("revealed_mac_keys").([]Fields)
	if len(all) != messages {
		t.Fatalf("%d keys", len(all))
	}
	for i, k := range all {
		if n, _ := k.Get("authenticates").([]uint64); len(n) != 1 || n[0] != uint64(i+1) {
			t.Fatalf("key %d authenticates %v", i, n)
		}
	}
}

// A side reveals the keys with which it has verified the other side's messages. A key that
// would authenticate one of its own messages is not attributed to any.
func TestARevealedKeyAuthenticatesNoMessageOfItsOwnSide(t *testing.T) {
	template := &parseText(t, log4(t, true))[3]
	a, b := template.Header.Sender, template.Header.Receiver
	key := bytes.Repeat([]byte{1}, Key4Len)
	for revealer, want := range map[uint32][]uint64{a: nil, b: {1}} {
		all := parseText(t, made4(t, template, a, b, 1, nil)+made4(t, template, revealer, a^b^revealer, 2, key))
		revealed := all[1].Fields.Get("revealed_mac_keys").([]Fields)
		if n, _ := revealed[0].Get("authenticates").([]uint64); len(revealed) != 1 || !slices.Equal(n, want) {
			t.Errorf("the key of %x authenticates %v, want %v", revealer, n, want)
		}
	}
}

// False MAC keys in every message cause only work in proportion to the length of the log.
func TestFalseMACKeysCostNoMoreThanTheLogIsLong(t *testing.T) {
	slowtest.SkipShort(t)
	template := &parseText(t, log4(t, true))[3]
	a, b := template.Header.Sender, template.Header.Receiver
	var log strings.Builder
	for range 200 {
		log.WriteString(made4(t, template, a, b, 1, nil))
	}
	for range 150 {
		log.WriteString(made4(t, template, b, a, 2, bytes.Repeat([]byte{3}, 64*Key4Len)))
	}
	p := NewParser(strings.NewReader(log.String()))
	for range 350 {
		m, err := p.Next()
		if err != nil {
			t.Fatal(err)
		}
		if m.Header.Sender == b {
			if hashed := p.judge.hashed; hashed > maxLookup+len(template.Raw) {
				t.Fatalf("%d bytes were hashed", hashed)
			}
		}
	}
	if p.judge.hashed < maxLookup/2 {
		t.Error("the log has not been enough work to show anything")
	}
	// Reading further text allows more work.
	p.judge.earn(maxLookup)
	if p.judge.hashed != 0 {
		t.Errorf("%d bytes are not earned back", p.judge.hashed)
	}
}

// A log full of Identity messages does not multiply the ring signatures to check.
func TestARingSignatureIsCheckedAgainstAFewMessages(t *testing.T) {
	all := parseText(t, log4(t, true))
	other := func() string {
		alice := newParty(t, 1) // has the same instance tag, and other ephemeral keys
		alice.client.Rand = steady(77)
		o, err := alice.client.NewOffer()
		if err != nil {
			t.Fatal(err)
		}
		return string(wire.AppendArmor(nil, o.Message(0))) + "\n"
	}()
	armored := func(m *Message) string { return string(wire.AppendArmor(nil, m.Raw)) + "\n" }
	for between, want := range map[int]string{0: sigmaValid, maxTried - 1: sigmaValid, maxTried: sigmaTooMany} {
		text := armored(&all[0]) + strings.Repeat(other, between) + armored(&all[1])
		got := parseText(t, text)
		if check := got[len(got)-1].Fields.Get("sigma_check"); check != want {
			t.Errorf("%d messages between: sigma is %v", between, check)
		}
	}
}

// The memory of a judge is bounded: the oldest message is dropped first.
func TestAJudgeKeepsSoManyMessagesAndNoMore(t *testing.T) {
	slowtest.SkipShort(t)
	var j judge
	m := &Message{Raw: make([]byte, 1<<20), Body: nil}
	for n := range maxKept + 5 {
		small := &Message{Number: n, Raw: []byte{1, 2, 3}}
		j.keep(small, 0, nil)
	}
	if len(j.kept) != maxKept || j.kept[0].number != 5 || j.keptBytes != 3*maxKept {
		t.Errorf("%d messages of %d bytes, from %d on", len(j.kept), j.keptBytes, j.kept[0].number)
	}
	for n := range 9 {
		m.Number = n
		j.keep(m, 0, nil)
	}
	if j.keptBytes > maxKeptBytes || len(j.kept) != maxKeptBytes>>20 || j.kept[0].number != 1 {
		t.Errorf("%d messages of %d bytes, from %d on", len(j.kept), j.keptBytes, j.kept[0].number)
	}
	for n := range uint32(maxIdentities + 3) {
		j.identity(wire.Header{Sender: n}, nil)
	}
	if len(j.identities) != maxIdentities || j.identities[0].sender != 3 {
		t.Errorf("%d Identity messages, from %d on", len(j.identities), j.identities[0].sender)
	}
	for n := range uint32(maxEnsembles + 3) {
		j.ensemble(&v4.Ensemble{Message: &v4.PrekeyMessage{ID: n}})
	}
	if len(j.ensembles) != maxEnsembles || j.ensembles[0].Message.ID != 3 {
		t.Errorf("%d ensembles, from %d on", len(j.ensembles), j.ensembles[0].Message.ID)
	}
}

// sigmas returns the results for the ring signatures of a transcript.
func sigmas(all []Message) (checks []any) {
	for _, m := range all {
		if c := m.Fields.Get("sigma_check"); c != nil {
			checks = append(checks, c)
		}
	}
	return checks
}

// A ring signature is valid together with the messages that it signs, and with no others.
func TestARingSignatureIsOfItsOwnMessages(t *testing.T) {
	armored := func(m *Message) string { return string(wire.AppendArmor(nil, m.Raw)) + "\n" }
	one := parseText(t, log4(t, true))
	two := parseText(t, log4(t, false)) // other keys, the same people
	_, _, away := awayTranscript(t)
	ensemble, rest, _ := strings.Cut(away, "\n")
	first, _, _ := strings.Cut(rest, "\n")
	bob := newParty(t, 2)
	bob.client.Rand = steady(77)
	publication, err := bob.client.NewPublication(testTime.AddDate(0, 0, 7))
	if err != nil {
		t.Fatal(err)
	}
	prekey, err := bob.client.NewPrekey(func(uint32) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	// Another prekey of the same number, which the signature does not cover.
	other := publication.Ensemble(prekey)
	e, err := v4.ParseArmoredEnsemble([]byte(ensemble[strings.Index(ensemble, "?OTRP:"):]))
	if err != nil {
		t.Fatal(err)
	}
	other.Message.ID = e.Message.ID
	foreign := string(other.AppendArmor(nil)) + "\n"

	for name, test := range map[string]struct {
		text string
		want []any
	}{
		"as it was":                   {armored(&one[0]) + armored(&one[1]) + armored(&one[2]), []any{sigmaValid, sigmaValid}},
		"without the first message":   {armored(&one[1]) + armored(&one[2]), []any{sigmaUnverified, sigmaUnverified}},
		"without the second":          {armored(&one[0]) + armored(&one[2]), []any{sigmaUnverified}},
		"of another exchange":         {armored(&two[0]) + armored(&two[1]) + armored(&two[0]) + armored(&two[2]), []any{sigmaValid, sigmaValid}},
		"changed":                     {armored(&one[0]) + armored(flipped(&one[1])), []any{sigmaInvalid}},
		"the last one changed":        {armored(&one[0]) + armored(&one[1]) + armored(flipped(&one[2])), []any{sigmaValid, sigmaInvalid}},
		"away, as it was":             {ensemble + "\n" + first, []any{sigmaValid}},
		"away, without the ensemble":  {first, []any{sigmaUnverified}},
		"away, to another prekey":     {foreign + first, []any{sigmaInvalid}},
		"away, and many prekeys":      {ensemble + "\n" + strings.Repeat(foreign, maxTried) + first, []any{sigmaTooMany}},
		"away, and not so many":       {ensemble + "\n" + strings.Repeat(foreign, maxTried-1) + first, []any{sigmaValid}},
		"another Auth-R in between":   {armored(&one[0]) + armored(&one[1]) + strings.Repeat(armored(&one[1]), maxTried-1) + armored(&one[2]), nil},
		"so many that it is too much": {armored(&one[0]) + strings.Repeat(armored(&one[1]), maxTried+1) + armored(flipped(&one[2])), nil},
	} {
		got := sigmas(parseText(t, test.text))
		if test.want == nil { // all but the last are valid
			last := map[bool]string{true: sigmaTooMany, false: sigmaValid}[strings.HasPrefix(name, "so many")]
			test.want = append(slices.Repeat([]any{sigmaValid}, len(got)-1), last)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, not %q", name, got, test.want)
		}
	}
}

// flipped returns a copy of a message with one byte changed in the middle of its last 100,
// which belong to its signature.
func flipped(m *Message) *Message {
	c := *m
	c.Raw = bytes.Clone(m.Raw)
	c.Raw[len(c.Raw)-1-50] ^= 1
	return &c
}

func TestOnlySoManyAnswersAreKept(t *testing.T) {
	all := parseText(t, log4(t, true))
	identity, err := v4.ParseIdentity(all[0].Body)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := v4.ParseAuthR(all[1].Body)
	if err != nil {
		t.Fatal(err)
	}
	j := judge{accounts: []*v4.Accounts{nil}}
	j.answers = make([]keptAnswer, maxIdentities)
	j.identity(all[0].Header, identity)
	if got := j.authR(all[1].Header, answer); got != sigmaValid {
		t.Fatal(got)
	}
	if n := len(j.answers); n != maxIdentities || j.answers[n-1].alice != all[1].Header.Sender {
		t.Errorf("%d Auth-R messages, the last of %#x", n, j.answers[n-1].alice)
	}
}
