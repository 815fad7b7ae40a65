package console

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"storehub/doors"
	"storehub/hq"
)

// A seeded headquarters: stores with reports as they come from shops, most of them well,
// some with one resolver that fails, some silent, some never heard of.

var items = []string{"Connection tokens come from your backend", "The SDK is initialised early", "Location is registered", "Readers are registered",
	"Reader updates have a window", "The admin passcode is your own", "Payments are captured in time", "Refunds were rehearsed", "Receipts show what they must",
	"Offline mode was decided on", "Network was checked", "Declines were rehearsed", "Webhooks arrive", "Disputes have an owner", "Staff was trained"}

// report is what the n-th store's hub says.
func report(n int, now time.Time) hq.Report {
	r := hq.Report{At: now, Version: "1.4.0", StartedAt: now.Add(-time.Duration(n%300) * time.Hour), Verdict: "ready", Causes: []hq.ReportCause{},
		Queue: hq.ReportQueue{}, Readers: map[string]int{"online": 1 + n%4}, Resolvers: []string{fmt.Sprintf("203.0.113.%d", n%7+1)}, Software: []string{"2.44.1"}}
	if n%9 == 0 {
		r.Version = "1.3.2"
	}
	cause := func(code, severity, title string, since time.Duration, targets ...string) {
		r.Causes = append(r.Causes, hq.ReportCause{Code: code, Severity: severity, Title: title, Since: now.Add(-since).Truncate(time.Second), Targets: targets})
	}
	switch {
	case n%83 == 7:
		r.Resolvers = []string{"198.51.100.53"}
		cause("dns_down", "critical", "The store's name servers do not answer", 12*time.Minute+time.Duration(n%50)*time.Second, "198.51.100.53")
		r.Verdict, r.Queue.Pending, r.Queue.Amounts = "blocked", 3+n%5, map[string]int64{"eur": int64(1000 + n)}
	case n%41 == 3:
		cause("wan_lossy", "warning", "The internet line loses packets", time.Duration(n)*time.Minute)
		r.Verdict, r.Queue.Accepted = "degraded", 2
	case n%57 == 5:
		cause("reader_offline", "warning", "A reader shows no sign of life", time.Duration(n)*time.Minute, "tmr_1")
		r.Verdict, r.Readers = "degraded", map[string]int{"online": 1, "offline": 1}
	}
	for i, title := range items {
		it := hq.ReportItem{Number: i + 1, ID: fmt.Sprintf("item_%d", i+1), Title: title, State: "pass", Evidence: []string{"a test of " + now.UTC().Format(time.DateOnly) + " says so"}}
		if n%2 == 1 { // the others' hubs are older and do not tell
			it.Owner, it.NextDue = "headquarters", now.AddDate(0, 3, 0)
		}
		switch {
		case (n+i)%97 == 0:
			it.State = "fail"
		case (n+i)%23 == 0:
			it.State = "attention"
		case i >= 13:
			it.State = "signed_off"
		case i == 9 && n%3 == 0:
			it.State = "not_applicable"
		}
		r.Checklist = append(r.Checklist, it)
	}
	return r
}

// seedFile records so many stores with their reports and some past, in one transaction: as
// many enrolments would take minutes.
func seedFile(ctx context.Context, file string, stores int, now time.Time) (err error) {
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	var failed error
	do := func(query string, args ...any) {
		if failed == nil {
			_, failed = tx.ExecContext(ctx, query, args...)
		}
	}
	places := []string{"High Street", "Station", "Market Square", "Airport", "Harbour"}
	for n := range stores {
		id := fmt.Sprintf("%05d", n)
		credential := []byte("hash of " + id)
		do(`INSERT INTO stores (id, location, mode, account, name, time_zone, day_ends, epoch, created_at, credential, fingerprint) VALUES (?, ?, 'test', '', ?, 'Europe/Berlin', '04:00', ?, ?, ?, 'machine')`,
			id, "tml_"+id, places[n%len(places)], "epoch"+id, now.Add(-time.Hour).UnixMilli(), credential)
		do(`INSERT INTO locations VALUES (?, ?, 'present')`, id, "tml_"+id)
		if n%211 == 9 {
			continue // never heard of
		}
		at := now.Add(-time.Duration(rand.N(170)) * time.Second)
		if n%131 == 11 {
			at = now.Add(-3 * time.Hour)
		}
		r := report(n, at)
		body, err := json.Marshal(r)
		if err != nil {
			return err
		}
		do(`INSERT INTO reports (store, at, verdict, causes, network, body) VALUES (?, ?, ?, '[]', '', ?)`, id, at.UnixMilli(), r.Verdict, body)
		var of []string
		for _, c := range r.Causes {
			of = append(of, fmt.Sprintf(`{"code":%q}`, c.Code))
		}
		do(`INSERT INTO report_changes (store, at, verdict, causes) VALUES (?, ?, 'ready', '[]')`, id, now.Add(-6*24*time.Hour).UnixMilli())
		if r.Verdict != "ready" {
			do(`INSERT INTO report_changes (store, at, verdict, causes) VALUES (?, ?, ?, ?)`, id, r.Causes[0].Since.UnixMilli(), r.Verdict, "["+strings.Join(of, ",")+"]")
		}
	}
	twin, err := json.Marshal(hq.Proposal{Kind: doors.Refund, Ref: "pi_twin", Amount: 1250, Currency: "eur", Order: "4711"})
	if err != nil {
		return err
	}
	for _, f := range [][4]string{
		{"00007", "twin_charge", "pi_twin", "order 4711 was paid twice: pi_first and pi_twin, 12.50 EUR each"},
		{"00007", "operation_failed", "op_17", "capture of pi_17: card_declined: the card was declined when the payment was forwarded"},
		{"00003", "unnamed_authorisation", "pi_unnamed", "no operation names this authorisation of 30.00 EUR"},
	} {
		proposal := ""
		if f[1] == "twin_charge" {
			proposal = string(twin)
		}
		do(`INSERT INTO findings (store, code, ref, note, at, proposal) VALUES (?, ?, ?, ?, ?, ?)`, f[0], f[1], f[2], f[3], now.Add(-5*time.Hour).UnixMilli(), proposal)
	}
	for i := range 40 {
		state, reason := "succeeded", ""
		if i%9 == 4 {
			state, reason = "failed", "not_captured"
		}
		do(`INSERT INTO operations (store, id, epoch, kind, ref, line, amount, currency, till, mode, account, body_hash, created_at, mentioned_at, recorded_at, state, reason)
			VALUES ('00007', ?1, 'epoch00007', 'capture', ?2, ?2, ?3, 'eur', 'lane-1', 'test', '', '', ?4, ?4, ?4, ?5, ?6)`,
			fmt.Sprintf("op_%d", i), fmt.Sprintf("pi_%d", i), 1000+37*i, now.Add(time.Duration(i-60)*time.Minute).UnixMilli(), state, reason)
	}
	if failed != nil {
		return errors.Join(failed, tx.Rollback())
	}
	return tx.Commit()
}

// headquarters is a seeded one, with its console in front.
func headquarters(t testing.TB, stores int) (*Console, *hq.Server) {
	t.Helper()
	file := t.TempDir() + "/hq.db"
	s, err := hq.NewServer(hq.Options{Database: "sqlite:" + file, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := seedFile(t.Context(), file, stores, time.Now()); err != nil {
		t.Fatal(err)
	}
	c, err := New(Options{Server: s, PublicURL: "https://hq.example.com", Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}
