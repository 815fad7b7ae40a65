package hq

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // time zones of stores on machines that have none

	"storehub/doors"
)

// codeLife is how long a one-time code can be traded for a credential.
const codeLife = 24 * time.Hour

var (
	storeID    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	locationID = regexp.MustCompile(`^tml_[A-Za-z0-9_]{1,64}$`)
	accountID  = regexp.MustCompile(`^acct_[A-Za-z0-9]{1,64}$`)
	publicKey  = regexp.MustCompile(`^[0-9a-f]{64}$`)
	dayEnds    = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)
)

// What to do when more is to be captured than was authorised, and with an
// authorisation that no operation names (money.md 2.3, 3.3).
const (
	OverCapture       = "capture_authorised"
	OverHold          = "hold"
	UncapturedReport  = "report"
	UncapturedCapture = "capture_with_order"
	UncapturedCancel  = "cancel_without_order"
	hubDrained        = "drain"
	hubRevoked        = "revoked"
	storeRemoved      = "removed"
)

// Policy is what headquarters does for a store where a person could decide otherwise.
type Policy struct {
	OverAmount string `json:"over_amount"`
	Uncaptured string `json:"uncaptured"`
	// TrustKey names the metadata in which the store's own backend writes the
	// store's id; "": metadata proves nothing.
	TrustKey string `json:"trust_metadata,omitempty"`
}

// record is a store with what headquarters remembers of its hub.
type record struct {
	Store
	Policy
	standing        string // of its hub: "", or one of the above
	fingerprint     string // of its machine
	hubKey          string // public half of the key it signs with; "": it has none
	newcomer        string // the run of a hub that showed a forked head; "": none
	rehearses       string // the live store that it is the stand-in of; "": none
	run             string // of the process that asks
	copied          bool   // who asks is not the hub that was enrolled
	epoch           string
	fresh           bool // nothing has been accepted in this epoch yet
	acceptedThrough uint64
	head            string
	feedSeq         uint64
	feedRead        uint64 // the hub has the feed on its disk up to here, and perhaps further
}

// AddStore records a store and returns its one-time code. For a store that is
// recorded already, with the same Location, mode and account, it makes another
// code: a new machine can then take the old one's place.
func (s *Server) AddStore(ctx context.Context, st Store) (code string, expires time.Time, err error) {
	if st, err = s.completeStore(st); err != nil {
		return "", time.Time{}, fmt.Errorf("add store: %w", err)
	}
	code = newCode()
	err = s.db.tx(ctx, func(t *tx) error {
		have, err := readStore(t, `id = ?`, st.ID)
		act := actCode
		switch {
		case errors.Is(err, sql.ErrNoRows):
			act = actAdd
			_, err = t.Exec(`INSERT INTO stores (id, location, mode, account, name, time_zone, day_ends, epoch, created_at) VALUES (?,?,?,?,?,?,?,?,?)`,
				st.ID, st.Location, st.Mode, st.Account, st.Name, st.TimeZone, st.DayEnds, randomHex(8), ms(t.now))
			if err == nil {
				_, err = t.Exec(`INSERT INTO locations VALUES (?, ?, 'present')`, st.ID, st.Location)
			}
		case err == nil && (have.Location != st.Location || have.Mode != st.Mode || have.Account != st.Account):
			err = fmt.Errorf("%q exists with location %s, mode %s", st.ID, have.Location, have.Mode)
		}
		if err != nil {
			return err
		}
		expires = t.now.Add(codeLife).UTC().Truncate(time.Second)
		if _, err = t.Exec(`INSERT INTO codes (hash, store, expires_at) VALUES (?, ?, ?)`, hashCode(code), st.ID, ms(expires)); err != nil {
			return err
		}
		return t.act(actor(ctx), act, st.ID, st.place())
	})
	if err != nil {
		return "", time.Time{}, fmt.Errorf("add store: %w", err)
	}
	return code, expires, nil
}

// completeStore fills in defaults and refuses what cannot be a store.
func (s *Server) completeStore(st Store) (Store, error) {
	if st.Mode == "" && len(s.stripes) == 1 {
		for m := range s.stripes {
			st.Mode = m
		}
	}
	if st.TimeZone == "" {
		st.TimeZone = "UTC"
	}
	if st.DayEnds == "" {
		st.DayEnds = "04:00"
	}
	switch {
	case !storeID.MatchString(st.ID):
		return st, fmt.Errorf("id %q: want letters, digits, '.', '_' and '-', at most 64", st.ID)
	case !locationID.MatchString(st.Location):
		return st, fmt.Errorf("location %q: want Stripe's id of a Location, tml_…", st.Location)
	case st.Mode != doors.Live && st.Mode != doors.Test:
		return st, fmt.Errorf("mode %q: want live or test", st.Mode)
	case st.Account != "" && !accountID.MatchString(st.Account):
		return st, fmt.Errorf("account %q: want acct_…", st.Account)
	case !dayEnds.MatchString(st.DayEnds):
		return st, fmt.Errorf("day_ends %q: want HH:MM", st.DayEnds)
	case st.RefundLimit < 0 || st.RefundLimit > 99_999_999:
		return st, fmt.Errorf("refund_limit %d: want 0 to 99999999, in minor units (1000 is 10.00)", st.RefundLimit)
	}
	if _, err := time.LoadLocation(st.TimeZone); err != nil || st.TimeZone == "Local" {
		return st, fmt.Errorf("time_zone %q: want an IANA name such as Europe/Berlin", st.TimeZone)
	}
	return st, nil
}

// enrol trades a code for a credential, once. The code is used up in the same
// transaction that makes the credential, so neither exists without the other.
func (s *Server) enrol(ctx context.Context, r EnrolRequest) (Enrolment, error) {
	switch {
	case r.Code == "":
		return Enrolment{}, doors.ErrMissingField.With("code is missing")
	case len(r.Code) > 128:
		return Enrolment{}, doors.ErrInvalidField.With("code is too long")
	case r.Fingerprint == "":
		return Enrolment{}, doors.ErrMissingField.With("fingerprint is missing")
	case r.Key != "" && !publicKey.MatchString(r.Key):
		return Enrolment{}, doors.ErrInvalidField.With("key must be 64 hexadecimal digits")
	case len(r.Fingerprint) > 256 || len(r.Version) > 128:
		return Enrolment{}, doors.ErrInvalidField.With("fingerprint or version is too long")
	}
	before, err := s.storeOfCode(s.now(), queryer(ctx, s.db.r), r)
	if err != nil {
		return Enrolment{}, err
	}
	if err := s.checkPlace(ctx, before.Store); err != nil && !errors.Is(err, errNotTold) {
		return Enrolment{}, err
	}
	var e Enrolment
	err = s.db.tx(ctx, func(t *tx) error {
		was, err := s.storeOfCode(t.now, t, r) // anew: a code is good once
		if err != nil {
			return err
		}
		store := was.ID
		secret := make([]byte, 32)
		_, _ = rand.Read(secret) // never errs since Go 1.24
		e.Credential = "shc_" + base64.RawURLEncoding.EncodeToString(secret)
		if _, err := t.Exec(`UPDATE codes SET used_at = ? WHERE hash = ?`, ms(t.now), hashCode(r.Code)); err != nil {
			return err
		}
		if err := s.db.fault("enrol:code"); err != nil {
			return err
		}
		if _, err := t.Exec(`UPDATE stores SET credential = ?, fingerprint = ?, hub_version = ?, hub_key = ?, standing = '', newcomer = '' WHERE id = ?`,
			hashSecret(e.Credential), r.Fingerprint, r.Version, r.Key, store); err != nil {
			return err
		}
		if _, err := t.Exec(`UPDATE findings SET decision = ?, decided_by = 'enrolment', decided_at = ? WHERE store = ? AND code = ? AND decision = ''`,
			decided, ms(t.now), store, doors.ErrHubDuplicated.Code); err != nil {
			return err
		}
		if was.fingerprint != "" {
			// Another hub, or the same with a new beginning: its numbers must not meet the old ones.
			if err := s.renewEpoch(t, store, "a hub was enrolled"); err != nil {
				return err
			}
		}
		rec, err := readStore(t, `id = ?`, store)
		if err != nil {
			return err
		}
		e.Store = rec.Store
		e.Store.HeadKey, e.Store.HubName = s.headKey(), s.hubName(store)
		detail := "its first hub"
		if was.fingerprint != "" {
			detail = "in place of the hub before it"
		}
		return t.act("who had the code", actEnrol, store, detail)
	})
	if err != nil {
		return Enrolment{}, err
	}
	s.log.Info("store enrolled", "store", e.Store.ID)
	return e, nil
}

// storeOfCode is the store that a code is good for.
func (s *Server) storeOfCode(now time.Time, q queries, r EnrolRequest) (record, error) {
	var store string
	var expires, used int64
	err := q.QueryRow(`SELECT store, expires_at, used_at FROM codes WHERE hash = ?`, hashCode(r.Code)).Scan(&store, &expires, &used)
	if errors.Is(err, sql.ErrNoRows) || err == nil && (used != 0 || ms(now) >= expires) {
		return record{}, doors.ErrEnrolCode
	}
	if err != nil {
		return record{}, err
	}
	var credential []byte
	rec, err := readStore(q, `id = ?`, store, &credential)
	if err == nil && credential != nil && rec.fingerprint != r.Fingerprint && !r.Replace {
		err = doors.ErrHubElsewhere
	}
	return rec, err
}

// storeOf tells whose credential it is.
func (s *Server) storeOf(ctx context.Context, credential string) (record, error) {
	if credential == "" || len(credential) > 256 {
		return record{}, doors.ErrCredential
	}
	rec, err := s.whose.ask(ctx, string(hashSecret(credential)))
	if errors.Is(err, sql.ErrNoRows) {
		return record{}, doors.ErrCredential
	}
	return rec, err
}

// queries is what a transaction and a pool have in common.
type queries interface {
	Query(query string, args ...any) (*sql.Rows, error)
	QueryRow(query string, args ...any) *sql.Row
}

// queryer reads from the pool under ctx.
func queryer(ctx context.Context, db *sql.DB) queries { return pool{ctx, db} }

type pool struct {
	ctx context.Context
	db  *sql.DB
}

func (p pool) Query(q string, args ...any) (*sql.Rows, error) {
	return p.db.QueryContext(p.ctx, q, args...)
}
func (p pool) QueryRow(q string, args ...any) *sql.Row {
	return p.db.QueryRowContext(p.ctx, q, args...)
}

const storeColumns = `id, location, mode, account, name, time_zone, day_ends, epoch, epoch_fresh, accepted_through, head, feed_seq, feed_read, refund_limit,
	standing, fingerprint, newcomer, over_amount, uncaptured, trust_key, hub_key, offline, update_window, rehearses, credential`

// scanStore reads storeColumns.
func scanStore(row interface{ Scan(...any) error }) (r record, credential []byte, err error) {
	err = row.Scan(&r.ID, &r.Location, &r.Mode, &r.Account, &r.Name, &r.TimeZone, &r.DayEnds, &r.epoch, &r.fresh, &r.acceptedThrough, &r.head, &r.feedSeq, &r.feedRead, &r.RefundLimit,
		&r.standing, &r.fingerprint, &r.newcomer, &r.OverAmount, &r.Uncaptured, &r.TrustKey, &r.hubKey, &r.Offline, &r.UpdateWindow, &r.rehearses, &credential)
	return r, credential, err
}

// readStore reads the one store where the condition holds; credential, if
// given, receives the hash.
func readStore(q queries, where string, arg any, credential ...*[]byte) (record, error) {
	r, hash, err := scanStore(q.QueryRow(`SELECT `+storeColumns+` FROM stores WHERE `+where, arg))
	for _, c := range credential {
		*c = hash
	}
	return r, err
}

// newCode makes a one-time code of 80 bits that can be read out over a telephone:
// Crockford's alphabet has no I, L, O or U.
func newCode() string {
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never errs since Go 1.24
	var sb strings.Builder
	for i, c := range b {
		if i > 0 && i%4 == 0 {
			sb.WriteByte('-')
		}
		sb.WriteByte(alphabet[c&31])
	}
	return sb.String()
}

// hashCode forgives case, blanks, hyphens, and O for 0 or I and L for 1.
func hashCode(code string) []byte {
	code = strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(code))
	return hashSecret("code:" + code)
}

func hashSecret(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}
