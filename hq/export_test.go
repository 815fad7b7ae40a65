package hq

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestDatabase names an empty database of the engine that the suite runs on; set
// by TestMain.
var TestDatabase func(t testing.TB, o *Options)

// Synchronous asks one of the writer's connections to SQLite how it flushes.
func (s *Server) Synchronous(t *testing.T) (level int) {
	t.Helper()
	if err := s.db.w.QueryRow(`PRAGMA synchronous`).Scan(&level); err != nil {
		t.Fatal(err)
	}
	return level
}

// PretendSchema records that a newer program changed the schema.
func (s *Server) PretendSchema(t *testing.T, version int) {
	t.Helper()
	if _, err := s.db.w.Exec(`INSERT INTO versions VALUES (?, 0)`, version); err != nil {
		t.Fatal(err)
	}
}

// Everything is all that the database holds, one value a line.
func (s *Server) Everything(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, table := range []string{"stores", "locations", "codes", "chain", "operations", "attempts", "intents", "feed", "stripe_events", "cursors", "actions", "findings", "leases", "buckets", "reader_lists", "reports", "report_changes", "audit", "configurations", "policies", "personal", "console_links", "console_sessions", "console_views"} {
		rows, err := s.db.r.Query(`SELECT * FROM ` + table)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			if err := rows.Scan(values...); err != nil {
				t.Fatal(err)
			}
			for _, v := range values {
				fmt.Fprintf(&b, "%s\n", *v.(*any))
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// Backlog is how often the least tried of the open operations was tried in a
// row, and how long it is until the first of them is looked at.
func (s *Server) Backlog(t *testing.T) (tries int, next time.Duration) {
	t.Helper()
	var at int64
	if err := s.db.r.QueryRow(`SELECT coalesce(min(tries), 0), coalesce(min(next_look), 0) FROM operations WHERE next_look IS NOT NULL`).Scan(&tries, &at); err != nil {
		t.Fatal(err)
	}
	return tries, time.UnixMilli(at).Sub(s.now())
}

// OpenActions counts the reader actions without an end.
func (s *Server) OpenActions(t *testing.T) (n int) {
	t.Helper()
	if err := s.db.r.QueryRow(`SELECT count(*) FROM actions WHERE open = 1`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Hurry lets the ledger look for what is due, as an event would.
func (s *Server) Hurry() { s.hurry() }

// Upkeep prunes once.
func (s *Server) Upkeep(ctx context.Context) error { return s.upkeep(ctx) }

// StoreRoutes is the table of what a store's credential opens.
func StoreRoutes() (list []string) {
	for _, r := range storeRoutes {
		if !r.open {
			list = append(list, r.method+" "+r.path)
		}
	}
	return list
}

// KeepReportChanges is how many changes are kept of each store.
const KeepReportChanges = keepReportChanges

// Block is the block of addresses that a request came from.
func Block(remote string) string { return block(remote) }

// RaiseShared looks once for faults that stores share.
func (s *Server) RaiseShared(ctx context.Context, seen map[string]time.Time) error {
	return s.raiseShared(ctx, seen)
}

// FillFleet records so many stores with one report.
func FillFleet(t testing.TB, s *Server, n int, r Report) {
	t.Helper()
	for i := range n {
		id := fmt.Sprintf("%05d", i)
		if _, _, err := s.AddStore(t.Context(), Store{ID: id, Location: "tml_" + id, Mode: "live"}); err != nil {
			t.Fatal(err)
		}
	}
	ReportAgain(t, s, n, r)
}

// SaveAct writes a line of the audit log.
func (s *Server) SaveAct(ctx context.Context, act, store, detail string) error {
	return s.db.tx(ctx, func(t *tx) error { return t.act(actor(ctx), act, store, detail) })
}

// ReportAgain has the first so many of them report.
func ReportAgain(t testing.TB, s *Server, n int, r Report) {
	t.Helper()
	for i := range n {
		if _, err := s.keepReport(t.Context(), fmt.Sprintf("%05d", i), r, "203.0.113.0/24"); err != nil {
			t.Fatal(err)
		}
	}
}

// PersonalRows are the locked keys of personal fields, as text.
func (s *Server) PersonalRows(t *testing.T) (list []string) {
	t.Helper()
	rows, err := s.db.r.Query(`SELECT locked FROM personal`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			t.Fatal(err)
		}
		list = append(list, string(b))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// MovePersonal gives one operation what is sealed of another's, and the other way.
func (s *Server) MovePersonal(t *testing.T, a, b string) {
	t.Helper()
	for _, q := range [][2]string{{a, "x"}, {b, a}, {"x", b}} {
		if _, err := s.db.w.Exec(`UPDATE personal SET op = ? WHERE op = ?`, q[1], q[0]); err != nil {
			t.Fatal(err)
		}
	}
}

// PutInTheClear keeps an operation's data as an earlier version did.
func (s *Server) PutInTheClear(t *testing.T, op string, data []byte) {
	t.Helper()
	if _, err := s.db.w.Exec(`DELETE FROM personal WHERE op = ?`, op); err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.w.Exec(`UPDATE operations SET data = ? WHERE id = ?`, data, op); err != nil {
		t.Fatal(err)
	}
}

// BodyHash is the fingerprint that an operation is compared by.
func (s *Server) BodyHash(t *testing.T, op string) (hash string) {
	t.Helper()
	if err := s.db.r.QueryRow(`SELECT body_hash FROM operations WHERE id = ?`, op).Scan(&hash); err != nil {
		t.Fatal(err)
	}
	return hash
}

// EraseOnly erases personal fields whose time is over, and prunes nothing else.
func (s *Server) EraseOnly(t *testing.T) {
	t.Helper()
	if err := s.erasePersonal(t.Context(), s.now()); err != nil {
		t.Fatal(err)
	}
}
