package v4

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"otrpipe/otr/group"
)

// hexBytes is a byte string of a vector file.
type hexBytes []byte

func (h *hexBytes) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	v, err := hex.DecodeString(s)
	*h = v
	return err
}

func readVectors(t testing.TB, name string, into any) {
	t.Helper()
	if err := parseVectors(name, into); err != nil {
		t.Fatal(err)
	}
}

func parseVectors(name string, into any) error {
	b, err := os.ReadFile("testdata/" + name)
	if err == nil && strings.HasSuffix(name, ".gz") {
		var r *gzip.Reader
		if r, err = gzip.NewReader(bytes.NewReader(b)); err == nil {
			b, err = io.ReadAll(r)
		}
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

type ringVectors struct {
	Ring []struct {
		Comment            string
		Keys               [3]hexBytes
		Message, Signature hexBytes
		Valid              any
		Position           int
		Secret             hexBytes
		Random             [][2]string
		Values             [][2]string
	}
}

func loadRing(t testing.TB) (v ringVectors) {
	t.Helper()
	readVectors(t, "primitives.json", &v)
	return v
}

func ringOf(t testing.TB, points [3]hexBytes) (ring Ring) {
	t.Helper()
	for i, b := range points {
		p, err := group.ParsePoint(b)
		if err != nil {
			t.Fatal(err)
		}
		ring[i] = p
	}
	return ring
}

func TestRingSignatureVectors(t *testing.T) {
	signed := 0
	for _, v := range loadRing(t).Ring {
		ring := ringOf(t, v.Keys)
		err := ring.Verify(v.Signature, v.Message)
		if valid, decided := v.Valid.(bool); decided && valid != (err == nil) {
			t.Errorf("%s: %v, want valid %v", v.Comment, err, valid)
		}
		if err != nil && !errors.Is(err, ErrRingSignature) {
			t.Errorf("%s: error is %v", v.Comment, err)
		}
		if v.Secret == nil {
			continue
		}
		signed++
		var random []byte
		for _, draw := range v.Random {
			b, err := hex.DecodeString(draw[1])
			if err != nil {
				t.Fatal(err)
			}
			random = append(random, b...)
		}
		got, err := ring.Sign(bytes.NewReader(random), group.ReduceScalar(v.Secret), v.Position, v.Message)
		if err != nil || !bytes.Equal(got, v.Signature) {
			t.Errorf("%s: signed %x (%v), want %x", v.Comment, got, err, v.Signature)
		}
	}
	if signed != 3 {
		t.Errorf("%d vectors to sign, want one for each position", signed)
	}
}

func TestARingSignatureHasOneEncoding(t *testing.T) {
	// The vectors leave open what becomes of a scalar with q added to it.
	for _, v := range loadRing(t).Ring {
		if _, decided := v.Valid.(bool); decided {
			continue
		}
		if err := ringOf(t, v.Keys).Verify(v.Signature, v.Message); !errors.Is(err, group.ErrEd448Scalar) {
			t.Errorf("%s: %v", v.Comment, err)
		}
		return
	}
	t.Error("no such vector")
}

func TestRingSignaturesNeedRandomness(t *testing.T) {
	v := loadRing(t).Ring[0]
	short := bytes.NewReader(make([]byte, 5*group.ScalarLen-1))
	if _, err := ringOf(t, v.Keys).Sign(short, group.ReduceScalar(v.Secret), 0, v.Message); err == nil {
		t.Error("284 bytes were enough")
	}
}
