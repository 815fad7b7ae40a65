package hq

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Act is a line of the audit log: what a person did at headquarters, or had done by an
// enrolment code. Lines are written in the transaction of what they tell of, and are
// never changed or taken out.
type Act struct {
	ID     int64     `json:"id"`
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Act    string    `json:"act"`
	Store  string    `json:"store,omitempty"`
	Detail string    `json:"detail"`
}

// The acts. A decision is finding.confirmed or finding.dismissed.
const (
	actAdd       = "store.add"
	actCode      = "store.code" // another code for a store that is recorded
	actMove      = "store.move"
	actConfigure = "store.configure"
	actRevoke    = "store.revoke"
	actRemove    = "store.remove"
	actImport    = "store.import"
	actEnrol     = "hub.enrol"
	actFinding   = "finding."
	actResolve   = "failure.resolve" // by a person in the shop
)

type actorKey struct{}

// By names the person for whom acts under ctx are done.
func By(ctx context.Context, who string) context.Context {
	return context.WithValue(ctx, actorKey{}, who)
}

// unnamed is who acts when nobody was named: a program that holds the database.
const unnamed = "not named"

func actor(ctx context.Context) string {
	who, _ := ctx.Value(actorKey{}).(string)
	return cmp.Or(strings.TrimSpace(who), unnamed)
}

// auditText bounds a line's detail.
const auditText = 4096

// act writes a line.
func (t *tx) act(by, act, store, detail string) error {
	if _, err := t.Exec(`INSERT INTO audit (at, by_whom, act, store, detail) VALUES (?, ?, ?, ?, ?)`, ms(t.now), line(by), act, store, line(detail)); err != nil {
		return err
	}
	return t.d.fault("audit:" + act)
}

// line keeps a text of people's to one line that a terminal can be shown.
func line(s string) string {
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 {
			return ' '
		}
		return c
	}, s)
	if len(s) > auditText {
		s = strings.ToValidUTF8(s[:auditText], "") + "…"
	}
	return s
}

// AuditQuery says which acts are meant; the zero value is all of them.
type AuditQuery struct {
	Store string
	Since time.Time
	Last  int // the newest so many; 0: all
	// Text stands in who did it, in what, in the store or in the detail; capitals of A to Z
	// count for nothing.
	Text   string
	Before int64 // acts of a lower number; 0: all
}

// Audit lists acts, oldest first.
func (s *Server) Audit(ctx context.Context, q AuditQuery) ([]Act, error) {
	last := int64(q.Last)
	if last <= 0 {
		last = 1 << 62
	}
	rows, err := s.db.r.QueryContext(ctx, `SELECT seq, at, by_whom, act, store, detail FROM audit WHERE (?1 = '' OR store = ?1) AND at >= ?2
		AND (?4 = 0 OR seq < ?4) AND (?5 = '' OR lower(by_whom || ' ' || act || ' ' || store || ' ' || detail) LIKE ?5 ESCAPE '!') ORDER BY seq DESC LIMIT ?3`,
		q.Store, ms(q.Since), last, q.Before, contains(q.Text))
	if err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	defer rows.Close()
	list := []Act{}
	for rows.Next() {
		var a Act
		var at int64
		if err := rows.Scan(&a.ID, &at, &a.By, &a.Act, &a.Store, &a.Detail); err != nil {
			return nil, fmt.Errorf("read audit log: %w", err)
		}
		a.At = fromMS(at)
		list = append(list, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	slices.Reverse(list)
	return list, nil
}

// contains is a pattern for what has the text in it, in lower case; "" stays "".
func contains(text string) string {
	if text = strings.TrimSpace(text); text == "" {
		return ""
	}
	return "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(strings.ToLower(text)) + "%"
}

// place is where a store's money goes, in a line.
func (st Store) place() string {
	return strings.TrimSuffix(fmt.Sprintf("location %s, mode %s, account %s", st.Location, st.Mode, st.Account), ", account ")
}

// changes tells what of a store's record became another, in a line; "" is nothing.
func changes(was, is record) string {
	var list []string
	for _, f := range []struct{ name, was, is string }{
		{"location", was.Location, is.Location}, {"mode", string(was.Mode), string(is.Mode)}, {"account", was.Account, is.Account},
		{"name", was.Name, is.Name}, {"time_zone", was.TimeZone, is.TimeZone}, {"day_ends", was.DayEnds, is.DayEnds},
		{"over_amount", was.OverAmount, is.OverAmount}, {"uncaptured", was.Uncaptured, is.Uncaptured}, {"trust_metadata", was.TrustKey, is.TrustKey},
		{"refund_limit", strconv.FormatInt(was.RefundLimit, 10), strconv.FormatInt(is.RefundLimit, 10)},
	} {
		if f.was != f.is {
			list = append(list, fmt.Sprintf("%s %q became %q", f.name, f.was, f.is))
		}
	}
	return strings.Join(list, ", ")
}
