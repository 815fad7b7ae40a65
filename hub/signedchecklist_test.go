package hub

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"storehub/hq"
)

func signed(t *testing.T, s *shop) []byte {
	t.Helper()
	file, err := admined(t, s).SignedChecklist(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// realOffice has a hub at a real headquarters.
func realOffice(t *testing.T) *shop {
	_, client := office(t)
	s := open(t, newFakeHQ(), t.TempDir(), func(_ *Config, p *Parts) { p.HQ = client("run-1") })
	eventually(t, "the hub knows its store", func() bool { return s.hub.store.Load() != nil })
	return s
}

func TestASignedChecklistIsVerifiedWithoutAskingAnyone(t *testing.T) {
	s := realOffice(t)
	file := signed(t, s)
	known := KnownHeadKey(s.dir, "0412")
	stated, got, err := VerifyChecklist(file, known)
	if err != nil || known == "" || got.Headquarters == nil || got.Headquarters.Key != known || stated.Store != "0412" || len(stated.Items) != 15 || stated.Location != "tml_1" {
		t.Fatalf("%v\n%s\n%+v", err, file, got)
	}
	again, _, err := VerifyChecklist(signed(t, s), known)
	if err != nil || again.Key != stated.Key {
		t.Errorf("the hub signs with another key each time: %v", err)
	}
	if _, _, err := VerifyChecklist(file, strings.Repeat("0", 64)); !errors.Is(err, ErrNotSigned) {
		t.Errorf("signed by a headquarters that is not ours: %v", err)
	}
}

// Each byte counts: none can be flipped, left out or added.
func TestAnyFlippedByteOfASignedChecklistIsDetected(t *testing.T) {
	file := signed(t, realOffice(t))
	for i := range file {
		for _, bit := range []int{5, i % 8} { // 5: an upper case digit is the same number
			bad := bytes.Clone(file)
			bad[i] ^= 1 << bit
			if _, _, err := VerifyChecklist(bad, ""); !errors.Is(err, ErrNotSigned) {
				t.Fatalf("byte %d (%q for %q): %v", i, bad[i], file[i], err)
			}
		}
		if i%7 == 0 {
			if _, _, err := VerifyChecklist(append(bytes.Clone(file[:i]), file[i+1:]...), ""); !errors.Is(err, ErrNotSigned) {
				t.Fatalf("without byte %d: %v", i, err)
			}
		}
	}
	for _, bad := range [][]byte{append(bytes.Clone(file), '\n'), append([]byte(" "), file...), append(bytes.Clone(file), file...), nil, []byte("{}\n")} {
		if _, _, err := VerifyChecklist(bad, ""); !errors.Is(err, ErrNotSigned) {
			t.Errorf("%.20q…: %v", bad, err)
		}
	}
}

// With headquarters silent the hub signs alone and says why; nobody can put another's
// word, or none, in the place of that.
func TestAChecklistThatHeadquartersDidNotSeeSaysSo(t *testing.T) {
	f := newFakeHQ()
	s := open(t, f, t.TempDir())
	f.cut()
	file := signed(t, s)
	stated, got, err := VerifyChecklist(file, "")
	if err != nil || got.Headquarters != nil || got.Alone == "" {
		t.Fatalf("%v %+v", err, got)
	}
	got.Alone = ""
	changed, err := got.encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := VerifyChecklist(changed, ""); !errors.Is(err, ErrNotSigned) {
		t.Errorf("why it is alone was taken out: %v", err)
	}
	// Somebody with a key of their own signs for the store: only headquarters' word,
	// which they cannot have, tells.
	_, other, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	forged := got
	forged.Checklist = bytes.ReplaceAll(got.Checklist, []byte(stated.Key), []byte(hex.EncodeToString(other.Public().(ed25519.PublicKey))))
	forged.Headquarters = &hq.Head{Store: "0412", Nonce: forged.digest(), Key: strings.Repeat("ab", 32), Signature: strings.Repeat("cd", 64)}
	message, err := forged.message()
	if err != nil {
		t.Fatal(err)
	}
	forged.Signature = hex.EncodeToString(ed25519.Sign(other, message))
	b, err := forged.encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := VerifyChecklist(b, ""); !errors.Is(err, ErrNotSigned) {
		t.Errorf("headquarters' word was made up: %v", err)
	}
}

func FuzzVerifyChecklist(f *testing.F) {
	f.Add([]byte(`{"checklist":{"store":"0412","key":"00","items":[]},"signature":"00"}` + "\n"))
	f.Add([]byte(`{"checklist":null,"headquarters":{},"alone":"x","signature":""}` + "\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if _, _, err := VerifyChecklist(file, ""); err == nil {
			t.Errorf("taken: %q", file)
		}
	})
}
