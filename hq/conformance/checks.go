package conformance

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"storehub/doors"
	"storehub/hq"
)

// checks is every demand, in the order of asking.
var checks = []check{
	{"unknown_credential", "an unknown credential is answered 401 credential_refused", nil, func(ctx context.Context, s *session) error {
		return s.refused(ctx, http.MethodGet, "/store/v1/store", "shc_of_nobody", "", doors.ErrCredential)
	}},
	{"missing_credential", "no route but enrol answers without a credential", nil, missingCredential},
	{"unknown_path", "an unknown path is answered 404 not_found", nil, func(ctx context.Context, s *session) error {
		return s.refused(ctx, http.MethodGet, "/store/v1/nothing", "", "", doors.ErrNotFound)
	}},
	{"wrong_method", "another method is answered 405 with Allow", nil, func(ctx context.Context, s *session) error {
		return s.refused(ctx, http.MethodDelete, "/store/v1/store", "", "", doors.ErrMethod)
	}},
	{"unknown_code", "an unknown one-time code is answered 403 enrolment_code_refused", nil, func(ctx context.Context, s *session) error {
		return s.refused(ctx, http.MethodPost, "/store/v1/enrol", "", `{"code":"NOT-A-CODE","fingerprint":"`+machine+`","version":""}`, doors.ErrEnrolCode)
	}},
	{"enrol", "a one-time code is traded for a credential and the store's record", nil, enrol},
	{"code_once", "a one-time code works once", []string{"enrol"}, func(ctx context.Context, s *session) error {
		_, err := s.hub.Enrol(ctx, hq.EnrolRequest{Code: s.t.Code, Fingerprint: machine, Version: s.t.Version})
		return isRefused(err, doors.ErrEnrolCode)
	}},
	{"store_record", "the record names id, Location, mode, time zone and end of day", []string{"enrol"}, storeRecord},
	{"broken_body", "a body that cannot be read is answered 400 and leaves nothing", []string{"enrol"}, func(ctx context.Context, s *session) error {
		if err := s.refused(ctx, http.MethodPost, "/store/v1/operations", s.credential, `{"epoch":`, doors.ErrBadRequest); err != nil {
			return err
		}
		return s.refused(ctx, http.MethodPost, "/store/v1/operations", s.credential, `{"epoch":"","head":"","operations":[],"account":"acct_1"}`, doors.ErrUnknownField)
	}},

	{"token", "a connection token comes from Stripe, a new one at each asking", []string{"store_record"}, token},
	{"token_location", "the token's Location is the store's: a request cannot name one", []string{"token"}, func(ctx context.Context, s *session) error {
		return s.refused(ctx, http.MethodPost, "/store/v1/connection_tokens", s.credential,
			`{"till":{"name":"conformance","scope":"pos","mode":"test"},"location":"tml_other"}`, doors.ErrUnknownField)
	}},
	{"token_scope", "a till of scope monitor gets no token", []string{"token"}, func(ctx context.Context, s *session) error {
		_, err := s.hub.ConnectionToken(ctx, s.till(doors.ScopeMonitor, doors.Test))
		return isRefused(err, doors.ErrForbidden)
	}},
	{"token_mode", "a live till gets no token of a test store", []string{"token"}, func(ctx context.Context, s *session) error {
		_, err := s.hub.ConnectionToken(ctx, s.till(doors.ScopePOS, doors.Live))
		return isRefused(err, doors.ErrModeMismatch)
	}},

	{"submit", "operations are on disk before the receipt, which goes on with the hub's chain", []string{"store_record"}, submit},
	{"submit_again", "the same submission again gets the same receipt", []string{"submit"}, submitAgain},
	{"stale_epoch", "a submission under another epoch is kept, and told the epoch that holds", []string{"submit"}, staleEpoch},
	{"outcome", "what was handed over has an outcome in the feed", []string{"submit"}, outcome},
	{"outcome_once", "an operation that was offered twice has one outcome", []string{"submit_again", "outcome"}, outcomeOnce},
	{"no_is_outcome", "an operation that cannot be is an outcome: it does not hold up its batch", []string{"outcome"}, noIsOutcome},
	{"wrong_mode", "an operation of the other mode ends failed mode_mismatch", []string{"outcome"}, func(ctx context.Context, s *session) error {
		o := s.op(doors.Heartbeat, "live", "", 0)
		o.Mode = doors.Live
		if _, err := s.offer(ctx, o); err != nil {
			return err
		}
		return s.ends(ctx, o, doors.Failed, doors.ErrModeMismatch.Code)
	}},
	{"reused_id", "an id that comes again with another body ends the newcomer failed idempotency_key_reused", []string{"outcome"}, reusedID},

	{"feed_again", "the feed from an earlier cursor is the same feed", []string{"outcome"}, feedAgain},
	{"feed_epoch", "a cursor of another epoch is answered at once with the epoch that holds", []string{"outcome"}, feedEpoch},
	{"feed_waits", "the feed waits for news as long as it was asked to", []string{"outcome"}, feedWaits},
	{"feed_wakes", "news ends the waiting", []string{"feed_waits"}, feedWakes},

	{"chain_signed", "the head of the submit chain is signed with the key of the store's record", []string{"submit"}, chainSigned},
	{"chain_links", "the chain's links lead to the head", []string{"chain_signed"}, chainLinks},
	{"readers", "the store's readers are told with the time of Stripe's word", []string{"store_record"}, readers},
	{"tills", "the store's tills are taken over", []string{"store_record"}, func(ctx context.Context, s *session) error {
		hash := strings.Repeat("0", 52) + hex.EncodeToString([]byte(s.tag[:6]))
		return s.hub.Tills(ctx, hq.TillBook{Tills: []hq.TillRecord{{Name: "conformance", Scope: doors.ScopePOS, Mode: doors.Test, Hash: hash}}})
	}},

	{"report", "the hub's report of itself is taken, and answered with headquarters' time", []string{"store_record"}, func(ctx context.Context, s *session) error {
		now := time.Now().UTC().Truncate(time.Second)
		a, err := s.hub.Report(ctx, hq.Report{At: now, Version: s.t.Version, StartedAt: now, Verdict: "ready", Causes: []hq.ReportCause{}, Checklist: []hq.ReportItem{}})
		if err == nil && a.At.IsZero() {
			err = refuse("the answer does not say when the report arrived")
		}
		return err
	}},

	{"create", "a PaymentIntent is made for a till", []string{"store_record"}, create},
	{"create_diverted", "parameters that send money elsewhere are refused", []string{"create"}, func(ctx context.Context, s *session) error {
		_, err := s.create(ctx, "diverted", 900, "transfer_data[destination]", "acct_other")
		return isRefused(err, doors.ErrInvalidField)
	}},
	{"capture_early", "a capture before the card waits as awaiting_authorisation", []string{"create", "outcome"}, captureEarly},
	{"cancel", "an authorisation that nobody needs is cancelled", []string{"create", "outcome"}, cancel},
	{"refund_nothing", "a refund of a payment that was not captured fails: it is no cancel", []string{"create", "outcome"}, refundNothing},
	{"simulated_card", "a simulated reader takes a test card", []string{"create"}, simulatedCard},
	{"capture", "an authorised payment is captured with the amount that was asked for", []string{"simulated_card", "outcome"}, capture},
	{"capture_done", "a capture of what is captured with that amount has succeeded", []string{"capture"}, func(ctx context.Context, s *session) error {
		o := s.op(doors.Capture, "capture-2", s.captured, 1250)
		if _, err := s.offer(ctx, o); err != nil {
			return err
		}
		return s.ends(ctx, o, doors.Succeeded, "")
	}},
	{"capture_differs", "a capture of what is captured with another amount ends failed amount_differs", []string{"capture"}, func(ctx context.Context, s *session) error {
		o := s.op(doors.Capture, "capture-3", s.captured, 1000)
		if _, err := s.offer(ctx, o); err != nil {
			return err
		}
		return s.ends(ctx, o, doors.Failed, "amount_differs")
	}},
	{"refund", "a part of a captured payment is refunded", []string{"capture"}, func(ctx context.Context, s *session) error {
		o := s.op(doors.Refund, "refund-1", s.captured, 200)
		if _, err := s.offer(ctx, o); err != nil {
			return err
		}
		return s.ends(ctx, o, doors.Succeeded, "")
	}},
	{"refund_twin", "the same amount refunded twice within minutes waits for a person", []string{"refund"}, func(ctx context.Context, s *session) error {
		o := s.op(doors.Refund, "refund-2", s.captured, 200)
		if _, err := s.offer(ctx, o); err != nil {
			return err
		}
		return s.rests(ctx, o, "twin_refund")
	}},

	// Last: it leaves behind that the store's identity was copied.
	{"copied_hub", "another machine with the hub's credential hands over promises and gets no token", []string{"token", "outcome"}, copiedHub},
}

// report is the shortest there is.
const report = `{"at":"2026-01-01T00:00:00Z","version":"","started_at":"2026-01-01T00:00:00Z","verdict":"ready","causes":[],` +
	`"queue":{"pending":0,"accepted":0,"parked":0,"unresolved":0},"checklist":[]}`

func missingCredential(ctx context.Context, s *session) error {
	for _, r := range []struct{ method, path, body string }{
		{http.MethodGet, "/store/v1/store", ""},
		{http.MethodPost, "/store/v1/connection_tokens", `{"till":{"name":"t","scope":"pos","mode":"test"}}`},
		{http.MethodPost, "/store/v1/stripe/list_readers", `{"till":{"name":"t","scope":"pos","mode":"test"},"params":{}}`},
		{http.MethodPost, "/store/v1/operations", `{"epoch":"","head":"","operations":[]}`},
		{http.MethodGet, "/store/v1/feed?epoch=&after=0&wait=0", ""},
		{http.MethodGet, "/store/v1/chain", ""},
		{http.MethodGet, "/store/v1/readers", ""},
		{http.MethodPut, "/store/v1/tills", `{"tills":[]}`},
		{http.MethodPost, "/store/v1/resolutions", `{"resolutions":[]}`},
		{http.MethodPut, "/store/v1/report", report},
	} {
		if err := s.refused(ctx, r.method, r.path, "", r.body, doors.ErrCredential); err != nil {
			return err
		}
	}
	return nil
}

func enrol(ctx context.Context, s *session) error {
	e, err := s.hub.Enrol(ctx, hq.EnrolRequest{Code: s.t.Code, Fingerprint: machine, Version: s.t.Version})
	switch {
	case err != nil:
		return err
	case e.Credential == "":
		return refuse("no credential came with the enrolment")
	case len(e.Credential) < 24:
		return refuse("the credential has %d characters: it could be guessed", len(e.Credential))
	}
	s.credential, s.store = e.Credential, e.Store
	return nil
}

func storeRecord(ctx context.Context, s *session) error {
	st, err := s.hub.Store(ctx)
	if err != nil {
		return err
	}
	_, zone := time.LoadLocation(st.TimeZone)
	_, ends := time.Parse("15:04", st.DayEnds)
	key, hexed := hex.DecodeString(st.HeadKey)
	switch {
	case st.ID == "" || st.ID != s.store.ID:
		return refuse("the store is %q, it enrolled as %q", st.ID, s.store.ID)
	case !strings.HasPrefix(st.Location, "tml_"):
		return refuse("location is %q, want tml_…", st.Location)
	case st.Mode != doors.Live && st.Mode != doors.Test:
		return refuse("mode is %q, want live or test", st.Mode)
	case st.TimeZone == "" || zone != nil:
		return refuse("time_zone is %q, want an IANA name", st.TimeZone)
	case ends != nil:
		return refuse("day_ends is %q, want HH:MM", st.DayEnds)
	case hexed != nil || len(key) != 32:
		return refuse("head_key is %q, want 32 bytes in hexadecimal", st.HeadKey)
	}
	s.store = st
	return nil
}

func token(ctx context.Context, s *session) error {
	secrets := map[string]bool{}
	for range 2 {
		raw, err := s.hub.ConnectionToken(ctx, s.till(doors.ScopePOS, doors.Test))
		if err != nil {
			return err
		}
		v, err := fields(raw)
		if err != nil {
			return err
		}
		secret, _ := v["secret"].(string)
		switch {
		case v["object"] != "terminal.connection_token" || secret == "":
			return refuse("the answer is no terminal.connection_token with a secret")
		case v["location"] != nil && v["location"] != "" && v["location"] != s.store.Location:
			return refuse("the token is for Location %q, the store's is %q", v["location"], s.store.Location)
		}
		secrets[secret] = true
	}
	if len(secrets) != 2 {
		return refuse("two requests got one and the same token: it was kept")
	}
	r, err := s.send(ctx, http.MethodPost, "/store/v1/connection_tokens", s.credential, `{"till":{"name":"conformance","scope":"pos","mode":"test"}}`)
	if err == nil && !strings.Contains(r.header.Get("Cache-Control"), "no-store") {
		err = refuse("the answer may be kept on the way: Cache-Control is %q", r.header.Get("Cache-Control"))
	}
	return err
}

func readers(ctx context.Context, s *session) error {
	l, err := s.hub.Readers(ctx)
	switch {
	case err != nil:
		return err
	case l.At.IsZero():
		return refuse("the list does not say when Stripe told it")
	}
	for _, raw := range l.Readers {
		var r struct {
			ID       string `json:"id"`
			Location any    `json:"location"`
		}
		if json.Unmarshal(raw, &r) != nil || !strings.HasPrefix(r.ID, "tmr_") {
			return refuse("%.80q is no reader", raw)
		}
		if place, ok := r.Location.(string); ok && place != s.store.Location {
			return refuse("reader %s is of Location %s, the store's is %s", r.ID, place, s.store.Location)
		}
	}
	return nil
}

func copiedHub(ctx context.Context, s *session) error {
	other := *s.hub
	other.Machine, other.Run = "another machine", "conformance copy "+s.tag
	if _, err := other.ConnectionToken(ctx, s.till(doors.ScopePOS, doors.Test)); err == nil {
		return refuse("a copy of the hub on another machine got a connection token")
	} else if err := isRefused(err, doors.ErrHubDuplicated); err != nil {
		return err
	}
	o := s.op(doors.Heartbeat, "copy", "", 0)
	o.Number = s.number + 1
	if _, err := other.Submit(ctx, hq.Submission{Epoch: s.epoch, Head: s.head, Operations: []hq.Submitted{o}}); err != nil {
		return err
	}
	_, err := s.hub.ConnectionToken(ctx, s.till(doors.ScopePOS, doors.Test))
	return err
}
