package sandbox

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheBooksOutliveARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stripe.json")
	one := open(t, Options{StateFile: file})
	one.furnish()
	pi := one.authorised("2500")
	first := one.ok("POST", "/v1/payment_intents/"+pi+"/capture", "", byKey)
	secret := one.ok("POST", "/v1/terminal/connection_tokens", "").str("secret")
	one.ok("POST", "/v1/terminal/connection_tokens/activate", "secret="+secret)
	one.SetReader(one.reader, ReaderState{Offline: true})
	held := one.intent("3000", "")
	one.Advance(time.Hour)
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}

	two := open(t, Options{StateFile: file})
	if two.SecretKey() != one.SecretKey() || two.RestrictedKey() != one.RestrictedKey() || two.WebhookSecret() != one.WebhookSecret() || two.Account() != one.Account() {
		t.Error("it is another account")
	}
	if time.Until(two.Now()) < 59*time.Minute {
		t.Errorf("the clock went back to %s", two.Now())
	}
	again := two.ok("POST", "/v1/payment_intents/"+pi+"/capture", "", byKey)
	if again.raw != first.raw || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("the key is forgotten: %s", again.raw)
	}
	if got := two.effects(pi); got != "authorised 2500, captured 2500" {
		t.Errorf("books: %s", got)
	}
	two.no(400, "", "POST", "/v1/terminal/connection_tokens/activate", "secret="+secret)
	if r := two.ok("GET", "/v1/terminal/readers/"+one.reader, ""); r.str("status") != "offline" || r.str("location") != one.location {
		t.Errorf("reader: %s", r.raw)
	}
	if got := two.status(held); got != "requires_payment_method" {
		t.Errorf("the other intent: %s", got)
	}
	// The same seed makes no id twice.
	if _, ok := two.st.Intents.get(two.intent("2500", "")); !ok || len(two.st.Intents.list) != 3 || len(two.st.Intents.byID) != 3 {
		t.Errorf("%d intents, %d ids", len(two.st.Intents.list), len(two.st.Intents.byID))
	}
	two.Advance(authorisationLife)
	if got := two.effects(pi); got != "authorised 2500, captured 2500" {
		t.Errorf("a captured payment lapsed: %s", got)
	}
}

func TestAHeldPaymentLapsesAfterARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stripe.json")
	one := open(t, Options{StateFile: file})
	one.furnish()
	pi := one.authorised("2500")
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	two := open(t, Options{StateFile: file})
	two.Advance(authorisationLife)
	if got := two.effects(pi); got != "authorised 2500, expired 2500" {
		t.Errorf("books: %s", got)
	}
}

func TestAChangeIsOnDiskSoonAndWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s, err := New(Options{StateFile: filepath.Join(dir, "stripe.json")})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		sh := &shop{Sandbox: s, t: t, key: s.SecretKey()}
		pi := sh.intent("2500", "")
		time.Sleep(2 * keepPause)
		synctest.Wait()
		b, err := os.ReadFile(filepath.Join(dir, "stripe.json"))
		if err != nil || !strings.Contains(string(b), pi) {
			t.Errorf("the intent is not on disk: %v", err)
		}
		if files, _ := os.ReadDir(dir); len(files) != 1 {
			t.Errorf("%d files are left", len(files))
		}
	})
}

func TestEventsThatWaitedAreDeliveredAfterARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stripe.json")
	down := roundTrip(func(*http.Request) (*http.Response, error) { return nil, os.ErrDeadlineExceeded })
	synctest.Test(t, func(t *testing.T) {
		one, err := New(Options{StateFile: file, WebhookURL: "https://hq.example", WebhookSecret: "whsec_test", WebhookClient: &http.Client{Transport: down}})
		if err != nil {
			t.Fatal(err)
		}
		sh := &shop{Sandbox: one, t: t, key: one.SecretKey()}
		sh.intent("2500", "")
		synctest.Wait()
		if err := one.Close(); err != nil {
			t.Fatal(err)
		}
		in := &inbox{secret: "whsec_test"}
		two, err := New(Options{StateFile: file, WebhookClient: &http.Client{Transport: in}})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := in.types(); len(got) != 1 || got[0] != "payment_intent.created" {
			t.Errorf("came %v", got)
		}
		if err := two.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAStateThatCannotBeReadIsRefusedAndStays(t *testing.T) {
	for name, text := range map[string]string{"torn": `{"version":1,`, "newer": `{"version":99}`, "no state": `[]`} {
		file := filepath.Join(t.TempDir(), "stripe.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := New(Options{StateFile: file}); err == nil {
			s.Close()
			t.Errorf("%s: was taken", name)
		}
		if b, err := os.ReadFile(file); err != nil || string(b) != text {
			t.Errorf("%s: was changed: %q %v", name, b, err)
		}
	}
}

func TestCloseSaysThatTheBooksAreNotOnDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	s, err := New(Options{StateFile: filepath.Join(dir, "stripe.json")})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err == nil {
		t.Error("a directory that does not exist was written to")
	}
}
