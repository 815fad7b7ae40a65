package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"storehub/hub"
	"storehub/internal/buildinfo"
	"storehub/internal/cli"
	"storehub/internal/try"
)

func transportClient(t http.RoundTripper) *http.Client { return &http.Client{Transport: t} }

// alone is a shop with headquarters in the hub's process and Stripe played by
// the sandbox of a system that is otherwise left alone.
func alone(t *testing.T, key string) (file string, s *try.System) {
	t.Helper()
	s, err := try.Start(t.Context(), try.Options{StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if key == "restricted" {
		key = s.Sandbox.RestrictedKey()
	} else {
		key = s.StripeKey
	}
	secret := filepath.Join(t.TempDir(), "stripe.key")
	if err := os.WriteFile(secret, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, _ = writeConfig(t, fmt.Sprintf(`store: "0412"
listen: 127.0.0.1:0
mdns: off
hq:
  embedded: true
  location: %s
  stripe:
    api_key_file: %q
    api_base: %q
checks:
  every: off
`, s.Location(), secret, s.StripeURL))
	return file, s
}

// serving runs the hub of a configuration and returns its URL.
func serving(t *testing.T, file string) (url string, stop func() error) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cfg, err := hub.ParseConfig(f, file)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	up, done := make(chan string, 1), make(chan error, 1)
	go func() {
		parts := hub.Parts{Log: slog.New(slog.DiscardHandler), Version: buildinfo.Version(), Machine: hub.Fingerprint(), Bundle: consoleBundle(cfg, "")}
		done <- serve(ctx, cfg, parts, func(status string) {
			_, url, _ := strings.Cut(status, " at ")
			up <- url
		})
	}()
	stop = func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(5 * time.Second):
			return fmt.Errorf("the hub did not end in 5 s")
		}
	}
	select {
	case url = <-up:
	case err := <-done:
		t.Fatalf("the hub ended: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("the hub is not ready")
	}
	return url, stop
}

// laneOne pairs a till with the hub that runs and returns its credential.
func laneOne(t *testing.T, file string) string {
	t.Helper()
	credential := filepath.Join(t.TempDir(), "till")
	if code, _, stderr := hubRun(t.Context(), "pair", "--config", file, "--name", "lane-1", "--credential-file", credential); code != cli.ExitFine {
		t.Fatal(stderr)
	}
	b, err := os.ReadFile(credential)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func TestOneShopNeedsNoSecondMachine(t *testing.T) {
	file, s := alone(t, "restricted")
	url, stop := serving(t, file)
	credential := laneOne(t, file)
	token := func() (int, string) {
		resp, err := http.Post(url+"/pos/"+credential+"/connection_token", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	if status, body := token(); status != http.StatusOK || !strings.Contains(body, "pst_test_") || !strings.Contains(body, s.Location()) {
		t.Errorf("%d: %s", status, body)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}

	// Again on the same ledger, without internet: the key has been looked at.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	url, stop = serving(t, file)
	if status, body := token(); status != http.StatusPaymentRequired {
		t.Errorf("without Stripe: %d: %s", status, body)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// A live shop with headquarters in its hub rehearses all of it in test mode: the live key
// moves nothing, and nothing is left on any payment.
func TestMoney_1_4_ALiveShopsOwnHeadquartersRehearses(t *testing.T) {
	s, err := try.Start(t.Context(), try.Options{StateDir: t.TempDir(), Live: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	live, test := filepath.Join(t.TempDir(), "live.key"), filepath.Join(t.TempDir(), "test.key")
	for file, key := range map[string]string{live: s.Sandbox.RestrictedKey(), test: s.TestMode.RestrictedKey()} {
		if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, _ := writeConfig(t, fmt.Sprintf(`store: "0412"
listen: 127.0.0.1:0
mdns: off
hq:
  embedded: true
  location: %s
  test_location: %s
  stripe:
    api_key_file: %q
    api_base: %q
    test:
      api_key_file: %q
checks:
  every: off
`, s.Location(), s.TestLocation(), live, s.StripeURL, test))
	_, stop := serving(t, file)
	code, stdout, stderr := hubRun(t.Context(), "rehearse", "--config", file)
	if code != cli.ExitFine {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if books := s.Sandbox.Books(); len(books) != 0 {
		t.Errorf("the live books say %+v", books)
	}
	effects := map[string]int{}
	left := map[string]int64{} // of a payment's money that was captured and not given back
	for _, e := range s.TestMode.Books() {
		effects[e.Effect]++
		switch e.Effect {
		case "captured":
			left[e.Intent] += e.Amount
		case "refunded":
			left[e.Intent] -= e.Amount
		}
	}
	for pi, amount := range left {
		if amount != 0 {
			t.Errorf("%d are left on %s", amount, pi)
		}
	}
	if effects["captured"] < 3 || effects["canceled"] < 5 {
		t.Errorf("test mode's books have %v", effects)
	}
}

// A shop without a headquarters of its own machine keeps receipts, and has Stripe mail them.
func TestOneShopMailsItsReceipts(t *testing.T) {
	file, s := alone(t, "restricted")
	stripe := func(path, form string) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.StripeURL+path, strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(s.StripeKey, "")
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return reply(t, req, http.StatusOK).ID
	}
	pi := stripe("/v1/payment_intents", "amount=1000&currency=usd&payment_method_types[]=card_present")
	reader := "/v1/terminal/readers/" + s.Readers()[0]
	stripe(reader+"/process_payment_intent", "payment_intent="+pi)
	stripe("/v1/test_helpers"+strings.TrimPrefix(reader, "/v1")+"/present_payment_method", "")

	url, stop := serving(t, file)
	credential := laneOne(t, file)
	ask := func(method, path, body string, status int) answer {
		req, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+credential)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", "receipt-1")
		return reply(t, req, status)
	}
	op := ask(http.MethodPost, "/v1/operations", `{"kind":"receipt","ref":"`+pi+`","data":{"email":"a@example.com","send":true}}`, http.StatusAccepted)
	for end := time.Now().Add(30 * time.Second); op.State != "succeeded" && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if op = ask(http.MethodGet, "/v1/operations/"+op.ID, "", http.StatusOK); op.State == "failed" {
			break
		}
	}
	mailed := 0
	for _, e := range s.Sandbox.Books() {
		if e.Intent == pi && e.Effect == "receipt_not_mailed" {
			mailed++
		}
	}
	if op.State != "succeeded" || mailed != 1 {
		t.Errorf("it stands as %+v, and %d were mailed", op, mailed)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// answer is what these tests read of a reply.
type answer struct{ ID, State, Reason, Message string }

func reply(t *testing.T, req *http.Request, status int) (a answer) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status || json.Unmarshal(body, &a) != nil {
		t.Fatalf("%s %s: %d %s (%v)", req.Method, req.URL.Path, resp.StatusCode, body, err)
	}
	return a
}

func TestFullKeyIsRefusedInAShop(t *testing.T) {
	file, _ := alone(t, "full")
	code, _, stderr := hubRun(t.Context(), "serve", "--config", file)
	if code != cli.ExitUsage || !strings.Contains(stderr, "full secret key") || !strings.Contains(stderr, "hint: make a restricted key") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

func TestUnknownKeyNeedsStripeToAnswerOnce(t *testing.T) {
	file, s := alone(t, "restricted")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := hubRun(t.Context(), "serve", "--config", file)
	if code != cli.ExitCouldNot || !strings.Contains(stderr, "hint: a new key needs Stripe to answer once") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

func TestEmbeddedLedgerIsForOneStore(t *testing.T) {
	file, _ := alone(t, "restricted")
	_, stop := serving(t, file)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, bytes.Replace(b, []byte(`"0412"`), []byte(`"0413"`), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := hubRun(t.Context(), "serve", "--config", file)
	if code != cli.ExitUsage || !strings.Contains(stderr, `its ledger is that of store "0412"`) {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
