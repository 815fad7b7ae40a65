package hq

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"storehub/doors"
)

// Evidence is what a store's deployment checklist asks of headquarters, all of it by
// headquarters' clock. Untold has, by the part that could not be told, why.
type Evidence struct {
	At time.Time `json:"at"`
	// Place says why Location, account and mode do not belong together; "": they do.
	Place string `json:"place,omitempty"`
	// What the Location's effective Configuration tells readers. Passcode is one of the
	// constants below, and never the passcode.
	Offline      string `json:"offline,omitempty"`
	UpdateWindow string `json:"update_window,omitempty"`
	Passcode     string `json:"passcode,omitempty"`
	// How Stripe's events come here: Endpoint is one of the constants below, Missing what
	// it does not send of what is needed. SelfTest says what went wrong when a signed
	// event of our own was verified; "": nothing.
	Endpoint  string    `json:"endpoint,omitempty"`
	Missing   []string  `json:"missing,omitempty"`
	SelfTest  string    `json:"self_test,omitempty"`
	Delivered time.Time `json:"delivered,omitzero"` // when Stripe last delivered one
	// Undelivered counts events since then that Stripe holds and could not deliver.
	Undelivered int `json:"undelivered,omitempty"`
	// CopiesKept: copies of receipts are kept, which hold personal fields and want a key.
	CopiesKept bool `json:"copies_kept"`
	// The store's books.
	Reconciled      time.Time `json:"reconciled,omitzero"`
	Day             string    `json:"day,omitempty"`        // the one that was reconciled last
	Findings        int       `json:"findings,omitempty"`   // that wait for a person
	Uncaptured      int       `json:"uncaptured,omitempty"` // authorisations that nobody captured or cancelled
	UncapturedSince time.Time `json:"uncaptured_since,omitzero"`

	Untold map[string]string `json:"untold,omitempty"`
}

// Parts of the evidence that may be untold.
const (
	UntoldPlace         = "place"
	UntoldConfiguration = "configuration"
	UntoldWebhooks      = "webhooks"
	UntoldUndelivered   = "undelivered"
)

// What readers are told to ask for before they show their settings.
const (
	PasscodeOwn     = "own"
	PasscodeWeak    = "weak"    // one digit repeated, a sequence, or not 5 digits
	PasscodeDefault = "default" // set to the one that every reader comes with
	PasscodeNone    = "none"    // not set, which is the same
	PasscodeHidden  = "hidden"  // set, and Stripe does not show it to this key
)

// How events come.
const (
	EndpointEnabled  = "enabled"
	EndpointDisabled = "disabled"
	EndpointNone     = "none"   // Stripe has none for this address
	EndpointPolled   = "polled" // headquarters has no webhook secret, and asks Stripe
)

const (
	// evidenceFor is how long Stripe's word is taken to hold: who reloads a page costs no
	// read.
	evidenceFor = 30 * time.Second
	// deliveredWithin is how long Stripe has for a delivery before its absence counts.
	deliveredWithin = 10 * time.Minute
	// undeliveredBack is how far back they are counted at most.
	undeliveredBack = 3 * 24 * time.Hour
	webhookPath     = "/stripe/webhook"
)

// neededEvents is what headquarters does not learn at once without (money.md 3.5).
var neededEvents = []string{
	"payment_intent.amount_capturable_updated", "payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.canceled",
	"charge.captured", "charge.expired", "charge.refunded", "refund.created", "refund.updated", "refund.failed",
	"charge.dispute.created", "terminal.reader.action_succeeded", "terminal.reader.action_failed",
}

// evidences keeps each store's for a moment.
type evidences struct {
	mu sync.Mutex
	m  map[string]*evidenceEntry
}

type evidenceEntry struct {
	mu   sync.Mutex // one look at a time
	have Evidence
}

func (e *evidences) of(store string) *evidenceEntry {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.m == nil {
		e.m = map[string]*evidenceEntry{}
	}
	if e.m[store] == nil {
		e.m[store] = &evidenceEntry{}
	}
	return e.m[store]
}

// evidence looks into the books, and at Stripe unless that was just done.
func (s *Server) evidence(ctx context.Context, rec record) (Evidence, error) {
	entry := s.evidences.of(rec.ID)
	entry.mu.Lock()
	defer entry.mu.Unlock()
	fresh := max(evidenceFor, s.paced(rec.Mode, rec.Account))
	if age := s.now().Sub(entry.have.At); !entry.have.At.IsZero() && age >= 0 && age < fresh {
		e := entry.have
		err := s.bookEvidence(ctx, rec, &e)
		if e.Delivered.After(entry.have.Delivered) {
			e.Undelivered = 0 // of those since then nothing is known yet
		}
		return e, err
	}
	e := Evidence{At: s.now().UTC(), CopiesKept: len(s.db.personal) > 0, Untold: map[string]string{}}
	if err := s.bookEvidence(ctx, rec, &e); err != nil {
		return e, err
	}
	s.placeEvidence(ctx, rec.Store, &e)
	s.eventEvidence(ctx, rec.Store, &e)
	if ctx.Err() != nil {
		return e, ctx.Err()
	}
	if len(e.Untold) == 0 { // what was not told may be a moment later
		entry.have = e
	}
	return e, nil
}

// placeEvidence is how Stripe knows the store's Location, and what its readers are told.
func (s *Server) placeEvidence(ctx context.Context, st Store, e *Evidence) {
	var wrong *doors.Error
	switch err := s.checkPlace(ctx, st); {
	case errors.As(err, &wrong):
		e.Place = wrong.Message
		e.Untold[UntoldConfiguration] = "the Location is not right"
		return
	case err != nil:
		e.Untold[UntoldPlace] = "Stripe did not answer"
	}
	_, is, err := s.toldReaders(ctx, st)
	if err != nil {
		e.Untold[UntoldConfiguration] = err.Error()
		return
	}
	e.Offline, e.UpdateWindow, e.Passcode = is.offline(), is.hours(), is.passcode()
}

// passcode grades the admin passcode without showing any of it.
func (v settings) passcode() string {
	switch code := v[passcodeSetting]; {
	case code == "":
		return PasscodeNone
	case strings.Trim(code, "*•") == "":
		return PasscodeHidden
	case code == defaultPasscode:
		return PasscodeDefault
	case weakPasscode(code) != "":
		return PasscodeWeak
	}
	return PasscodeOwn
}

// eventEvidence is how Stripe's events come here.
func (s *Server) eventEvidence(ctx context.Context, st Store, e *Evidence) {
	if len(s.secrets) == 0 {
		e.Endpoint = EndpointPolled
		return
	}
	if err := s.selfTest(); err != nil {
		e.SelfTest = err.Error()
	}
	stripe, err := s.stripe(st.Mode)
	if err != nil {
		e.Untold[UntoldWebhooks] = err.Error()
		return
	}
	call, cancel := context.WithTimeout(ctx, tokenBudget)
	defer cancel()
	list, err := stripe.WebhookEndpoints(call)
	s.heard(ctx, st.Mode, "webhook_endpoints", err)
	switch {
	case refusalOf(err, http.StatusForbidden):
		e.Untold[UntoldWebhooks] = "the key may not read webhook endpoints at Stripe: it wants webhook_endpoint, read"
	case err != nil:
		e.Untold[UntoldWebhooks] = askedOf("read webhook endpoints", err).Error()
	default:
		e.Endpoint, e.Missing = s.ownEndpoint(list)
	}
	since := e.Delivered
	if oldest := e.At.Add(-undeliveredBack); since.Before(oldest) {
		since = oldest
	}
	e.Undelivered, err = stripe.Undelivered(call, st.Account, neededEvents, since, e.At.Add(-deliveredWithin))
	s.heard(ctx, st.Mode, "undelivered", err)
	if err != nil {
		e.Untold[UntoldUndelivered] = askedOf("list undelivered events", err).Error()
	}
}

// ownEndpoint finds ours among the account's: by public_url, or by its path where that
// is not configured. Of several the one that sends most counts.
func (s *Server) ownEndpoint(list []WebhookEndpoint) (state string, missing []string) {
	state = EndpointNone
	for _, ep := range list {
		if s.publicURL != "" && ep.URL != strings.TrimSuffix(s.publicURL, "/")+webhookPath || !strings.HasSuffix(ep.URL, webhookPath) {
			continue
		}
		if ep.Status != EndpointEnabled {
			if state == EndpointNone {
				state = EndpointDisabled
			}
			continue
		}
		lacks := slices.DeleteFunc(slices.Clone(neededEvents), func(kind string) bool {
			return slices.Contains(ep.Events, "*") || slices.Contains(ep.Events, kind)
		})
		if state != EndpointEnabled || len(lacks) < len(missing) {
			state, missing = EndpointEnabled, lacks
		}
	}
	return state, missing
}

// selfTest signs an event of our own with each secret, as Stripe does: it must be
// verified, and no longer when a byte of it was changed.
func (s *Server) selfTest() error {
	body := []byte(`{"id":"evt_storehub_self_test","object":"event","type":"storehub.self_test","livemode":false,"data":{"object":{}}}`)
	for i, secret := range s.secrets {
		at := time.Now().Unix()
		mac := hmac.New(sha256.New, []byte(secret))
		fmt.Fprintf(mac, "%d.%s", at, body)
		signature := fmt.Sprintf("t=%d,v1=%s", at, hex.EncodeToString(mac.Sum(nil)))
		if _, err := s.verify(body, signature); err != nil {
			return fmt.Errorf("an event signed with secret %d is refused: %w", i+1, err)
		}
		changed := slices.Clone(body)
		changed[len(changed)/2] ^= 1
		if _, err := s.verify(changed, signature); err == nil {
			return fmt.Errorf("an event that was changed after it was signed with secret %d is taken", i+1)
		}
	}
	return nil
}

// bookEvidence reads what headquarters wrote down itself.
func (s *Server) bookEvidence(ctx context.Context, rec record, e *Evidence) error {
	q := queryer(ctx, s.db.r)
	marks := map[string]*time.Time{webhookCursor(rec.Mode): &e.Delivered, reconciledCursor(rec.ID): &e.Reconciled}
	for _, name := range slices.Sorted(maps.Keys(marks)) {
		var text string
		err := q.QueryRow(`SELECT value FROM cursors WHERE name = ?`, name).Scan(&text)
		if isNoRows(err) {
			continue
		}
		at, day, _ := strings.Cut(text, " ")
		if err == nil {
			*marks[name], err = time.Parse(time.RFC3339, at)
		}
		if err != nil {
			return fmt.Errorf("read evidence: %s: %w", name, err)
		}
		if day != "" {
			e.Day = day
		}
	}
	if last := s.webhooks.last(rec.Mode); last.After(e.Delivered) {
		e.Delivered = last
	}
	// Without those that another item tells of.
	if err := q.QueryRow(`SELECT count(*) FROM findings WHERE store = ? AND decision = ''
		AND code NOT IN ('unnamed_authorisation', 'about_to_lapse', 'location_mismatch', 'account_mode_mismatch', 'configuration_drift', 'hub_duplicated')`, rec.ID).
		Scan(&e.Findings); err != nil {
		return fmt.Errorf("read evidence: %w", err)
	}
	var since int64
	e.UncapturedSince = time.Time{}
	if err := q.QueryRow(`SELECT count(*), COALESCE(min(authorised_at), 0) FROM intents WHERE store = ? AND next_look IS NOT NULL AND authorised_at > 0`, rec.ID).
		Scan(&e.Uncaptured, &since); err != nil {
		return fmt.Errorf("read evidence: %w", err)
	}
	if since > 0 {
		e.UncapturedSince = fromMS(since).UTC()
	}
	return nil
}

func reconciledCursor(store string) string { return "reconciled-at/" + store }
func webhookCursor(mode doors.Mode) string { return "webhook/" + string(mode) }

// webhooks remembers when Stripe last delivered an event of each mode.
type webhooks struct {
	mu   sync.Mutex
	at   map[doors.Mode]time.Time
	kept map[doors.Mode]time.Time
}

// webhookKept is how often that is written down: a restart forgets so much.
const webhookKept = 10 * time.Second

func (w *webhooks) last(mode doors.Mode) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at[mode]
}

// came takes in a delivery, and says whether it is to be written down.
func (w *webhooks) came(mode doors.Mode, at time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.at == nil {
		w.at, w.kept = map[doors.Mode]time.Time{}, map[doors.Mode]time.Time{}
	}
	w.at[mode] = at
	if at.Sub(w.kept[mode]) < webhookKept {
		return false
	}
	w.kept[mode] = at
	return true
}

// delivered remembers that Stripe delivered an event that is signed.
func (s *Server) delivered(ctx context.Context, mode doors.Mode) {
	at := s.now().UTC().Truncate(time.Second)
	if !s.webhooks.came(mode, at) {
		return
	}
	err := s.db.tx(ctx, func(t *tx) error { return t.setCursor(webhookCursor(mode), at.Format(time.RFC3339)) })
	if err != nil {
		s.log.Warn("remember that Stripe delivered an event", "err", err)
	}
}

// setCursor writes down how far something has come.
func (t *tx) setCursor(name, value string) error {
	_, err := t.Exec(`INSERT INTO cursors VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
	return err
}

func serveEvidence(ctx context.Context, s *Server, st record, _ *http.Request) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*tokenBudget)
	defer cancel()
	e, err := s.evidence(ctx, st)
	return answer{status: http.StatusOK, value: e}, err
}
