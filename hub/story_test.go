package hub

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"storehub/doors"
)

func TestStoryCaptureOutlivesSilenceAndPowerCut(t *testing.T) {
	f := newFakeHQ()
	s := open(t, f, t.TempDir())
	f.cut()
	op := s.capture("pi_1", "sale-1")
	if op.State != doors.Pending {
		t.Errorf("state is %s: headquarters cannot have it", op.State)
	}

	after := copyDir(t, s.dir)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s = open(t, f, after)
	events := s.listen("")
	f.mend()
	e := await(t, events, outcomeOf(op.ID, doors.Succeeded))
	if !strings.Contains(e.Data, `"amount_received":1250`) {
		t.Errorf("the outcome does not say what was received: %s", e.Data)
	}
	if again := s.capture("pi_1", "sale-1"); again.ID != op.ID || again.State != doors.Succeeded {
		t.Errorf("the same key gives %+v", again)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, id := range f.order {
		if f.ops[id].Kind == doors.Capture {
			n++
		}
	}
	if n != 1 {
		t.Errorf("headquarters was asked for %d captures", n)
	}
}

// Headquarters has the operation on its disk, and the receipt is lost on the way:
// the hub offers it again, headquarters knows it, and there is one outcome.
func TestStoryTheReceiptIsLost(t *testing.T) {
	f := newFakeHQ()
	s := open(t, f, t.TempDir())
	events := s.listen("")
	f.set(func(f *fakeHQ) { f.loseReceipts = 2 })
	op := s.capture("pi_1", "sale-1")
	await(t, events, outcomeOf(op.ID, doors.Succeeded))
	eventually(t, "the queue is drained", func() bool {
		n := s.hub.queue.Stats().Operations["capture"]
		return n["pending"] == 0 && n["accepted"] == 0 && n["succeeded"] == 1
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	outcomes := 0
	for _, it := range f.items {
		if it.ID == op.ID {
			outcomes++
		}
	}
	if outcomes != 1 {
		t.Errorf("headquarters acted %d times", outcomes)
	}
}

// A till was away while the hub was restarted: it resumes with a number of the
// earlier process, hears that it missed something, and asks.
func TestStoryATillComesBackAfterARestart(t *testing.T) {
	f := newFakeHQ()
	dir := t.TempDir()
	s := open(t, f, dir)
	events := s.listen("")
	first := s.capture("pi_1", "k1")
	seen := await(t, events, outcomeOf(first.ID, doors.Succeeded))
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s = open(t, f, dir)
	second := s.capture("pi_2", "k2")
	eventually(t, "the second outcome, which nobody listens to", func() bool {
		got, err := s.hub.Operation(t.Context(), admin, second.ID)
		return err == nil && got.State == doors.Succeeded
	})
	events = s.listen(seen.ID)
	missed := await(t, events, func(e sse) bool { return true })
	if missed.Type != eventGap || !strings.Contains(missed.Data, seen.ID) {
		t.Errorf("the first event is %+v", missed)
	}
	third := s.capture("pi_3", "k3")
	await(t, events, outcomeOf(third.ID, doors.Succeeded))
}

func TestStoryUnmodifiedApp(t *testing.T) {
	f := newFakeHQ()
	f.answers[doors.CreatePaymentIntent] = `{"id":"pi_7","object":"payment_intent","client_secret":"pi_7_secret_x"}`
	s := open(t, f, t.TempDir())
	pos := "/pos/" + s.credential
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}

	secrets := map[string]bool{}
	for range 3 {
		status, body := s.ask("POST", pos+"/connection_token", "", "")
		var token struct{ Secret string }
		if status != http.StatusOK || json.Unmarshal([]byte(body), &token) != nil || token.Secret == "" {
			t.Fatalf("connection_token: %d %s", status, body)
		}
		secrets[token.Secret] = true
	}
	if len(secrets) != 3 {
		t.Errorf("tokens are not all different: %d of 3", len(secrets))
	}
	if status, body := s.ask("POST", pos+"/create_payment_intent", "", "amount=1250&currency=eur", form...); status != http.StatusOK {
		t.Fatalf("create: %d %s", status, body)
	}
	status, body := s.ask("POST", pos+"/capture_payment_intent", "", "payment_intent_id=pi_7", form...)
	if status != http.StatusOK || !strings.Contains(body, `"pi_7"`) {
		t.Fatalf("capture: %d %s", status, body)
	}
	f.set(func(f *fakeHQ) { f.fail["pi_8"] = "card_declined" })
	if status, body = s.ask("POST", pos+"/capture_payment_intent", "", "payment_intent_id=pi_8", form...); status != http.StatusPaymentRequired || strings.HasPrefix(body, "{") {
		t.Errorf("a refused capture: %d %s", status, body)
	}
}

func TestStopIsGracefulAndQuick(t *testing.T) {
	f := newFakeHQ()
	f.hold = true // the capture below waits for an outcome that does not come
	s := open(t, f, t.TempDir())
	events := s.listen("")
	answered := make(chan int, 1)
	go func() {
		body := url.Values{"payment_intent_id": {"pi_1"}}.Encode()
		status, _ := s.ask("POST", "/pos/"+s.credential+"/capture_payment_intent", "", body, "Content-Type", "application/x-www-form-urlencoded")
		answered <- status
	}()
	eventually(t, "headquarters has the capture", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, op := range f.ops {
			if op.Kind == doors.Capture {
				return true
			}
		}
		return false
	})
	began := time.Now()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}
	if status := <-answered; status != http.StatusAccepted {
		t.Errorf("the till that waited got %d", status)
	}
	for range events { // ends only if the stream does
	}
}

func TestSecondHubOnTheDirectoryIsRefused(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	_, err := New(testConfig(s.dir), testParts(newFakeHQ(), &recorder{}))
	if err == nil || !strings.Contains(err.Error(), "another hub is using it") {
		t.Errorf("got %v", err)
	}
}

func TestStateSurvivesARestart(t *testing.T) {
	f := newFakeHQ()
	dir := t.TempDir()
	s := open(t, f, dir)
	op := s.capture("pi_1", "k")
	eventually(t, "the capture has its outcome", func() bool {
		got, err := s.hub.Operation(t.Context(), admin, op.ID)
		return err == nil && got.State == doors.Succeeded
	})
	first := s.credential
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	// Headquarters is away: mode and location are known all the same.
	f.cut()
	s = open(t, f, dir, func(c *Config, p *Parts) {})
	if status, body := s.ask("GET", "/v1/operations/"+op.ID, s.credential, ""); status != http.StatusOK || !strings.Contains(body, `"succeeded"`) {
		t.Errorf("operation after restart: %d %s", status, body)
	}
	if status, _ := s.ask("GET", "/v1/status", first, ""); status != http.StatusUnauthorized {
		t.Errorf("pairing a name again must replace its credential; the old one got %d", status)
	}
	if st := s.hub.status(); st.Mode != doors.Test {
		t.Errorf("mode after a restart without headquarters is %q", st.Mode)
	}
}

func TestNothingLoggedHoldsACredential(t *testing.T) {
	f := newFakeHQ()
	s := open(t, f, t.TempDir())
	s.ask("POST", "/pos/"+s.credential+"/connection_token", "", "")
	s.ask("POST", "/pos/"+s.credential+"/nothing", "", "")
	s.ask("POST", "/pos/shp_wrong/connection_token", "", "")
	f.cut()
	s.ask("POST", "/pos/"+s.credential+"/connection_token", "", "")
	s.ask("GET", "/v1/status", s.credential, "")
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{s.credential, "pst_test_1", "shp_wrong"} {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}
