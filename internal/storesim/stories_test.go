package storesim

import (
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"storehub/doors"
	"storehub/internal/sandbox"
	"storehub/internal/sandbox/stripemock"
)

// mock sees every request headquarters makes in these stories; what a real
// stripe-mock refuses fails the run.
var mock *stripemock.Mock

func TestMain(m *testing.M) {
	var err error
	if mock, err = stripemock.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "start stripe-mock:", err)
		os.Exit(1)
	}
	code := m.Run()
	for _, refusal := range mock.Check() {
		fmt.Fprintln(os.Stderr, "stripe-mock refuses what headquarters sent:", refusal)
		code = 1
	}
	mock.Close()
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "goroutines left behind:", err)
		code = 1
	}
	os.Exit(code)
}

func open(t *testing.T) *Store { return Open(t, Mirror(mock.Mirror)) }

const capturePath = "/v1/payment_intents/*/capture"

// The sunny day: an unmodified app takes a payment.
func TestStory_SunnyDay(t *testing.T) {
	s := open(t)
	pos := s.Till()
	if first, second := pos.Token(), pos.Token(); first == second {
		t.Fatal("two requests for a connection token gave the same secret")
	}
	pi := pos.Authorise(1800)
	pos.WantCapture(pi, http.StatusOK)
	s.WantCapturedOnce(pi, 1800)
	pos.WantCapture(pi, http.StatusOK) // a doubled tap is the same operation
	s.WantCapturedOnce(pi, 1800)
}

// The story of the front page: the line is cut, the till captures, the hub loses
// its power, comes back, the line is mended, and the money has moved once.
func TestStory_LineCutPowerCutLineMended(t *testing.T) {
	s := open(t)
	pos := s.Till()
	pi := pos.Authorise(1800)
	s.CutInternet()
	pos.WantCapture(pi, http.StatusAccepted)
	s.PowerCut()
	s.Boot()
	s.MendInternet()
	op := pos.WantOutcome(doors.Capture, pi, doors.Succeeded)
	s.WantCapturedOnce(pi, 1800)
	if got := s.Effects(pi, "captured")[0].Key; got != op.ID {
		t.Errorf("Stripe captured under the key %q, want the operation's id %q", got, op.ID)
	}
}

// A line on which nothing answers is worse than one that is cut: nobody is told.
func TestStory_SilentLine(t *testing.T) {
	s := open(t)
	pos := s.Till()
	pi := pos.Authorise(900)
	s.SilenceInternet()
	began := time.Now()
	pos.WantCapture(pi, http.StatusAccepted)
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("the till waited %v for its 202; OkHttp gives up at 10 s", took)
	}
	s.MendInternet()
	pos.WantOutcome(doors.Capture, pi, doors.Succeeded)
	s.WantCapturedOnce(pi, 900)
}

// Stripe captures and the answer is lost: the same key finds out.
func TestStory_AnswerLostAfterTheEffect(t *testing.T) {
	s := open(t)
	pos := s.Till()
	pi := pos.Authorise(1800)
	s.Stripe().Inject(sandbox.Fault{Method: http.MethodPost, Path: capturePath, Kind: "lost", Times: 1})
	if got := pos.Capture(pi); got != http.StatusOK && got != http.StatusAccepted {
		t.Fatalf("capture answered %d, want 200 or 202", got)
	}
	pos.WantOutcome(doors.Capture, pi, doors.Succeeded)
	s.WantCapturedOnce(pi, 1800)
}

// Every webhook comes twice and in the wrong order.
func TestStory_WebhooksTwiceAndOutOfOrder(t *testing.T) {
	s := open(t)
	s.Stripe().SetWebhookFaults(sandbox.WebhookFaults{Duplicate: true, Reorder: true})
	pos := s.Till()
	for _, amount := range []int64{500, 700, 900} {
		pi := pos.Authorise(amount)
		pos.WantCapture(pi, http.StatusOK)
		s.WantCapturedOnce(pi, amount)
	}
}

// An outage of thirty hours: Stripe has forgotten every key by then.
func TestStory_OutageLongerThanStripeRemembers(t *testing.T) {
	s := open(t)
	pos := s.Till()
	pi := pos.Authorise(1800)
	s.CutInternet()
	pos.WantCapture(pi, http.StatusAccepted)
	s.Pass(30 * time.Hour)
	s.MendInternet()
	pos.WantOutcome(doors.Capture, pi, doors.Succeeded)
	s.WantCapturedOnce(pi, 1800)
}

// The worst of both: the capture happened, its answer was lost, and before
// anybody could ask again Stripe forgot the key. Headquarters reads instead of
// replaying.
func TestStory_AnswerLostAndKeyForgotten(t *testing.T) {
	s := open(t)
	pos := s.Till()
	pi := pos.Authorise(1800)
	s.Stripe().Inject(sandbox.Fault{Method: http.MethodPost, Path: capturePath, Kind: "lost"})
	s.CutStripeAfter(func() bool { return len(s.Effects(pi, "captured")) == 1 })
	pos.WantCapture(pi, http.StatusAccepted)
	s.StopHQ()
	s.Pass(30 * time.Hour)
	s.Stripe().Clear()
	s.MendStripe()
	s.BootHQ()
	pos.WantOutcome(doors.Capture, pi, doors.Succeeded)
	s.WantCapturedOnce(pi, 1800)
}

// Headquarters is restarted in mid-operation: its record resolves the rest.
func TestStory_HeadquartersRestarts(t *testing.T) {
	s := open(t)
	pos := s.Till()
	pi := pos.Authorise(2500)
	s.CutStripe()
	pos.WantCapture(pi, http.StatusAccepted)
	s.Until("headquarters has the capture", func() bool { return pos.Operation(doors.Capture, pi).State == doors.Accepted })
	s.StopHQ()
	s.MendStripe()
	s.BootHQ()
	pos.WantOutcome(doors.Capture, pi, doors.Succeeded)
	s.WantCapturedOnce(pi, 2500)
}

// Stripe is in trouble for a while: too many requests, then errors of its own,
// which it remembers under the key as it does results.
func TestStory_StripeInTrouble(t *testing.T) {
	for _, kind := range []string{"429", "500", "reset"} {
		t.Run(kind, func(t *testing.T) {
			s := open(t)
			pos := s.Till()
			pi := pos.Authorise(1100)
			s.Stripe().Inject(sandbox.Fault{Method: http.MethodPost, Path: capturePath, Kind: kind, Times: 1})
			pos.Capture(pi)
			pos.WantOutcome(doors.Capture, pi, doors.Succeeded)
			s.WantCapturedOnce(pi, 1100)
		})
	}
}

// A sale is undone while the line is cut, and done over: order is kept per intent.
func TestStory_CancelledSale(t *testing.T) {
	s := open(t)
	pos := s.Till()
	kept, dropped := pos.Authorise(1000), pos.Authorise(2000)
	s.CutInternet()
	if a := pos.Post("cancel_payment_intent", form("payment_intent_id", dropped)); a.Status != http.StatusAccepted {
		t.Fatalf("cancel answered %d %s, want 202", a.Status, a.Body)
	}
	pos.WantCapture(kept, http.StatusAccepted)
	pos.WantCapture(dropped, http.StatusAccepted) // too late: it was cancelled first
	s.MendInternet()
	pos.WantOutcome(doors.Capture, kept, doors.Succeeded)
	pos.WantOutcome(doors.Cancel, dropped, doors.Succeeded)
	pos.WantOutcome(doors.Capture, dropped, doors.Failed)
	s.WantCapturedOnce(kept, 1000)
	if got := s.Effects(dropped, "captured"); len(got) != 0 {
		t.Errorf("a cancelled sale was captured: %v", got)
	}
}

// A refund, asked for twice under one key, is paid once.
func TestStory_RefundOnce(t *testing.T) {
	s := open(t)
	pos := s.Till()
	pi := pos.Authorise(3000)
	pos.WantCapture(pi, http.StatusOK)
	body := fmt.Sprintf(`{"kind":"refund","ref":%q,"amount":1200,"currency":"usd","data":{"order":"A-17"}}`, pi)
	s.Stripe().Inject(sandbox.Fault{Method: http.MethodPost, Path: "/v1/refunds", Kind: "lost", Times: 1})
	for range 2 {
		if a := pos.API(http.MethodPost, "/v1/operations", "refund-A-17", body); a.Status != http.StatusAccepted {
			t.Fatalf("refund answered %d %s, want 202", a.Status, a.Body)
		}
	}
	pos.WantOutcome(doors.Refund, pi, doors.Succeeded)
	if got := s.Effects(pi, "refunded"); len(got) != 1 || got[0].Amount != 1200 {
		t.Errorf("Stripe refunded %v, want 1200 once", got)
	}
	// The same key for something else is refused and changes nothing.
	other := fmt.Sprintf(`{"kind":"refund","ref":%q,"amount":1300,"currency":"usd"}`, pi)
	if a := pos.API(http.MethodPost, "/v1/operations", "refund-A-17", other); a.Status != http.StatusConflict {
		t.Errorf("the key's second use answered %d %s, want 409", a.Status, a.Body)
	}
}

// A payment nobody authorised is not captured, and says so instead of failing.
func TestStory_CaptureBeforeAuthorisation(t *testing.T) {
	s := open(t)
	pos := s.Till()
	a := pos.Post("create_payment_intent", form("amount", "1500"))
	var v struct{ Intent string }
	if err := a.JSON(&v); err != nil {
		t.Fatal(err)
	}
	pos.WantCapture(v.Intent, http.StatusAccepted)
	s.Until("headquarters says why it waits", func() bool {
		op := pos.Operation(doors.Capture, v.Intent)
		return op.State == doors.Accepted && op.Reason == "awaiting_authorisation"
	})
	reader := s.System().Readers()[0]
	s.AtStripe(http.MethodPost, "/v1/terminal/readers/"+reader+"/process_payment_intent", form("payment_intent", v.Intent))
	s.AtStripe(http.MethodPost, "/v1/test_helpers/terminal/readers/"+reader+"/present_payment_method", nil)
	pos.WantOutcome(doors.Capture, v.Intent, doors.Succeeded) // woken by the event, not by the next look
	s.WantCapturedOnce(v.Intent, 1500)
}

// After the sale the till prints a receipt from Stripe's own fields.
func TestStory_Receipt(t *testing.T) {
	s := open(t)
	pos := s.Till()
	pi := pos.Authorise(1800)
	pos.WantCapture(pi, http.StatusOK)
	a := pos.API(http.MethodGet, "/v1/receipts/"+pi, "", "")
	var r struct {
		PaymentIntent string `json:"payment_intent"`
		Amount        int64
		Last4         string
		Receipt       map[string]any
	}
	if a.Status != http.StatusOK || a.JSON(&r) != nil || r.PaymentIntent != pi || r.Amount != 1800 || r.Last4 != "4242" {
		t.Fatalf("receipt: %d %s", a.Status, a.Body)
	}
	for _, field := range []string{"application_preferred_name", "dedicated_file_name", "account_type"} {
		if v, _ := r.Receipt[field].(string); v == "" {
			t.Errorf("the receipt lacks %s, which card schemes require: %s", field, a.Body)
		}
	}
}

// The hub dies in mid-sale, with a capture on its disk that headquarters has not
// heard of. The till goes on by its second address: it sends again what it has no
// outcome of, and takes the next sale. When the hub lives again, nothing is done twice.
func TestMoney_4_2_HubKilledInMidSale(t *testing.T) {
	s := open(t)
	pos, spare := s.Till(), s.Till()
	spare.ToHeadquarters()
	s.Until("headquarters to have heard of the till", func() bool {
		return spare.API(http.MethodGet, "/v1/status", "", "").Status == http.StatusOK
	})
	pending := pos.Authorise(1800)
	s.CutInternet()
	pos.WantCapture(pending, http.StatusAccepted)
	s.PowerCut()

	pos.ToHeadquarters()
	pos.WantCapture(pending, http.StatusOK)
	s.WantCapturedOnce(pending, 1800)
	pos.Token()
	next := pos.Authorise(2500)
	pos.WantCapture(next, http.StatusOK)
	s.WantCapturedOnce(next, 2500)
	// All of it took one request each: a token, an intent, two captures. Headquarters
	// answers each within 6 s, and a till gives a dead hub up after 3: that is 30 s.
	if pos.asked != 4 {
		t.Errorf("the till asked headquarters %d times; nothing may have to be asked twice", pos.asked)
	}
	pos.WantOutcome(doors.Capture, next, doors.Succeeded)

	s.MendInternet()
	s.Boot()
	s.Till().WantOutcome(doors.Capture, pending, doors.Succeeded)
	s.WantCapturedOnce(pending, 1800)
}
