package hq_test

import (
	"crypto/ed25519"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
	"storehub/hq/stripeapi"
	"storehub/internal/sandbox"
)

// besideLive is a shop of test mode whose headquarters has a live key too, and a live
// store 0500 with its hub's two ways to headquarters.
func besideLive(t *testing.T) (s *shop, sells, rehearses *hq.Client) {
	t.Helper()
	var test *sandbox.Sandbox
	box, err := sandbox.New(sandbox.Options{Live: true, Log: quiet(), Seed: 2, OtherMode: func(id string) bool { return test.HasIntent(id) }})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(box.Handler())
	transport := &http.Transport{}
	live, err := stripeapi.New(stripeapi.Options{Key: stripeapi.Key(box.RestrictedKey()), BaseURL: front.URL, HTTP: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	s = newShop(t, func(o *hq.Options) { o.TestStripe, o.Stripe = o.Stripe, live })
	test = s.box
	t.Cleanup(func() {
		s.down()
		transport.CloseIdleConnections()
		front.Close()
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	made, err := s.server.CreateLocation(t.Context(), hq.Store{ID: "0500", Mode: doors.Live}, hq.Place{DisplayName: "Live", Line1: "1 Street", City: "San Francisco", State: "CA", PostalCode: "94110", Country: "US"})
	if err != nil {
		t.Fatal(err)
	}
	code, _, err := s.server.AddStore(t.Context(), hq.Store{ID: "0500", Location: made, Mode: doors.Live})
	if err != nil {
		t.Fatal(err)
	}
	key, public := hq.NewKey()
	e, err := s.client.Enrol(t.Context(), hq.EnrolRequest{Code: code, Fingerprint: "machine 5", Key: public})
	if err != nil {
		t.Fatal(err)
	}
	sells, rehearses = withKey(s.client, e.Credential, key), withKey(s.client, e.Credential, key)
	rehearses.Rehearsal = true
	return s, sells, rehearses
}

// TestMoney_1_4_APaymentOfTheOtherModeIsRefusedAsAnOutcome has a live till name a payment
// that was made in test mode, which Stripe says, and one that nobody knows, which may yet come.
func TestMoney_1_4_APaymentOfTheOtherModeIsRefusedAsAnOutcome(t *testing.T) {
	s, sells, _ := besideLive(t)
	ops := []hq.Submitted{op(doors.Capture, "op_capture", s.authorised("1000"), 1000), op(doors.Refund, "op_refund", s.authorised("700"), 700),
		op(doors.Capture, "op_unknown", "pi_nobody", 500)}
	for i := range ops {
		ops[i].Number, ops[i].Mode = uint64(i+1), doors.Live
	}
	if _, err := sells.Submit(t.Context(), hq.Submission{Operations: ops}); err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	for end := time.Now().Add(20 * time.Second); len(told) < 3 && time.Now().Before(end); {
		f, err := sells.Feed(t.Context(), epochOf(t, sells), 0, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range f.Items {
			if it.Reason != "" {
				told[it.ID] = string(it.State) + " " + it.Reason
			}
		}
	}
	want := map[string]string{"op_capture": "failed mode_mismatch", "op_refund": "failed mode_mismatch", "op_unknown": "accepted awaiting_authorisation"}
	if !maps.Equal(told, want) {
		t.Errorf("they stand as %q, want %q", told, want)
	}
}

// TestMoney_1_4_OnlyALiveStoreHasAStandInAndItsHubAloneComesToIt goes to where a live
// store rehearses by every way there is.
func TestMoney_1_4_OnlyALiveStoreHasAStandInAndItsHubAloneComesToIt(t *testing.T) {
	s, sells, rehearses := besideLive(t)
	refused := func(what string, err error, want *doors.Error, says string) {
		t.Helper()
		if !errors.Is(err, want) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %s with %q", what, err, want.Code, says)
		}
	}
	standIn := func() error { _, err := rehearses.Store(t.Context()); return err }
	own := *s.client
	own.Rehearsal = true
	_, err := own.Store(t.Context())
	refused("a test store", err, doors.ErrModeMismatch, "at its own Location")
	refused("no test Location", standIn(), doors.ErrLocation, "hq store configure --id 0500 --test-location")

	configure := func(id, location string) error {
		return s.server.ConfigureStore(t.Context(), id, hq.Change{TestLocation: &location})
	}
	before, err := sells.Store(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"the live Location": configure("0500", before.Location), "no Location": configure("0500", "here"), "a test store": configure("0412", s.loc)} {
		if err == nil {
			t.Errorf("%s was taken for a test Location", what)
		}
	}
	if err := configure("0500", "tml_nowhere"); err != nil {
		t.Fatal(err)
	}
	refused("a Location that test mode does not know", standIn(), doors.ErrLocation, "tml_nowhere")
	place := s.place()
	if err := configure("0500", place); err != nil {
		t.Fatal(err)
	}
	as, err := rehearses.Store(t.Context())
	if err != nil || as.ID != "0500~rehearsal" || as.Mode != doors.Test || as.Location != place {
		t.Fatalf("it rehearses as %+v, %v", as, err)
	}

	// What the hub says there is the stand-in's, and nothing of mode live.
	till := doors.Till{Name: "rehearsal", Scope: doors.ScopeManager, Mode: doors.Test}
	token, err := rehearses.ConnectionToken(t.Context(), till)
	if err != nil || !strings.Contains(string(token), "pst_test_") {
		t.Errorf("token %s, %v", token, err)
	}
	if token, err = sells.ConnectionToken(t.Context(), doors.Till{Name: "lane-1", Scope: doors.ScopePOS, Mode: doors.Live}); err != nil || !strings.Contains(string(token), "pst_live_") {
		t.Errorf("live token %s, %v", token, err)
	}
	till.Mode = doors.Live
	_, err = rehearses.ConnectionToken(t.Context(), till)
	refused("a live till", err, doors.ErrModeMismatch, "")
	for id, mode := range map[string]doors.Mode{"op_live": doors.Live, "op_test": doors.Test} {
		epoch, head, number := "", "", uint64(1)
		if f, err := rehearses.Feed(t.Context(), "", 0, 0); err == nil {
			epoch, head, number = f.Epoch, f.Head, f.AcceptedThrough+1
		}
		if _, err := rehearses.Submit(t.Context(), hq.Submission{Epoch: epoch, Head: head, Operations: []hq.Submitted{
			{Number: number, ID: id, Kind: doors.Heartbeat, Ref: "x", Till: "rehearsal", Mode: mode}}}); err != nil {
			t.Fatal(err)
		}
	}
	ends := map[string]string{}
	for end := time.Now().Add(20 * time.Second); len(ends) < 2 && time.Now().Before(end); {
		f, err := rehearses.Feed(t.Context(), epochOf(t, rehearses), 0, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range f.Items {
			if it.State.Final() {
				ends[it.ID] = string(it.State) + " " + it.Reason
			}
		}
	}
	if ends["op_live"] != "failed mode_mismatch" || ends["op_test"] != "succeeded " {
		t.Errorf("they ended %q", ends)
	}
	if f, err := sells.Feed(t.Context(), epochOf(t, sells), 0, 0); err != nil || len(f.Items) != 0 {
		t.Errorf("the live feed has %+v, %v", f.Items, err)
	}
	for _, path := range []string{"tills", "report", "readers", "resolutions", "certificate", "evidence", "enrol", "chain"} {
		if status, code, _ := s.ask("GET", "/store/v1/rehearsal/"+path, sells.Credential(), "", ""); status != http.StatusNotFound {
			t.Errorf("%s is rehearsed: %d %s", path, status, code)
		}
	}
	unsigned := hq.Client{URL: rehearses.URL, HTTP: rehearses.HTTP, Credential: rehearses.Credential, Rehearsal: true}
	_, err = unsigned.Store(t.Context())
	refused("without the hub's key", err, doors.ErrCredential, "")

	// It is no store of anybody's list, and nobody keeps it but with its store.
	list, err := s.server.Stores(t.Context())
	if err != nil || len(list) != 2 || list[1].ID != "0500" || list[1].TestLocation != place || list[0].TestLocation != "" {
		t.Errorf("stores %+v, %v", list, err)
	}
	for what, err := range map[string]error{
		"configure": configure(as.ID, place), "move": s.server.MoveStore(t.Context(), hq.Store{ID: as.ID, Location: before.Location, Mode: doors.Live}),
		"remove": s.server.RemoveStore(t.Context(), as.ID),
	} {
		if err == nil {
			t.Errorf("%s: the stand-in was taken for a store", what)
		}
	}

	// What no longer belongs together is not rehearsed with.
	if err := s.server.MoveStore(t.Context(), hq.Store{ID: "0500", Location: before.Location, Account: "acct_other"}); err != nil {
		t.Fatal(err)
	}
	refused("another account", standIn(), doors.ErrAccountMode, "acct_other")
	if err := s.server.MoveStore(t.Context(), hq.Store{ID: "0500", Location: before.Location}); err != nil {
		t.Fatal(err)
	}
	if err := configure("0500", ""); err != nil {
		t.Fatal(err)
	}
	refused("taken away", standIn(), doors.ErrLocation, "--test-location")
	if err := configure("0500", place); err != nil || standIn() != nil {
		t.Errorf("given back: %v, %v", err, standIn())
	}
	s.down()
	s.opts.TestStripe = nil
	s.up()
	rehearses.HTTP = s.client.HTTP
	refused("no test key", standIn(), doors.ErrAccountMode, "stripe.test.api_key_file")
}

// epochOf is where a feed stands.
func epochOf(t *testing.T, c *hq.Client) string {
	t.Helper()
	f, err := c.Feed(t.Context(), "", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f.Epoch
}

// withKey is a hub's end with its identity.
func withKey(as *hq.Client, credential string, key ed25519.PrivateKey) *hq.Client {
	return &hq.Client{URL: as.URL, HTTP: as.HTTP, Credential: func() string { return credential }, Key: func() ed25519.PrivateKey { return key }}
}
