package hq

import (
	"context"
	"crypto/rand"
	"database/sql"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

//go:embed schema.sql
var schema1 string

//go:embed schema2.sql
var schema2 string

// migrations bring the schema from version i to i+1. They are never edited once
// released; a change is a new line.
var migrations = []string{schema1, schema2}

// database is headquarters' disk. There is one writer, so that a transaction
// never meets another half way; reads go beside it.
type database struct {
	w, r   *sql.DB
	now    func() time.Time
	fault  func(step string) error
	notify func(store string) // called after a commit that added to the store's feed
}

// tx is one transaction of the writer, with the stores whose feed it added to.
type tx struct {
	*sql.Tx
	d       *database
	now     time.Time
	wakened map[string]bool
}

// openDatabase opens "sqlite:PATH" and brings its schema up to date.
func openDatabase(name string, now func() time.Time, fault func(string) error) (*database, error) {
	path, ok := strings.CutPrefix(name, "sqlite:")
	if !ok || path == "" {
		return nil, fmt.Errorf("open database: want sqlite:PATH, not %q", redactURL(name))
	}
	// The driver would make the file readable by all.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	// synchronous=FULL: a commit that was answered survives a power cut.
	// busy_timeout: `hq store add` writes beside a running server.
	q := url.Values{"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"}, "_txlock": {"immediate"}}
	dsn := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
	d := &database{now: now, fault: fault, notify: func(string) {}}
	if d.w, err = sql.Open("sqlite", dsn); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	d.w.SetMaxOpenConns(1)
	if d.r, err = sql.Open("sqlite", dsn); err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), d.w.Close())
	}
	d.r.SetMaxOpenConns(4)
	if err := d.migrate(context.Background()); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, err), d.close())
	}
	return d, nil
}

func (d *database) close() error { return errors.Join(d.r.Close(), d.w.Close()) }

func (d *database) migrate(ctx context.Context) error {
	return d.tx(ctx, func(t *tx) error {
		if _, err := t.Exec(`CREATE TABLE IF NOT EXISTS versions (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL)`); err != nil {
			return err
		}
		var have int
		if err := t.QueryRow(`SELECT coalesce(max(version), 0) FROM versions`).Scan(&have); err != nil {
			return err
		}
		if have > len(migrations) {
			return fmt.Errorf("it has schema version %d, this program knows up to %d: use a newer hq", have, len(migrations))
		}
		for v := have; v < len(migrations); v++ {
			if _, err := t.Exec(migrations[v]); err != nil {
				return fmt.Errorf("bring schema to version %d: %w", v+1, err)
			}
			if _, err := t.Exec(`INSERT INTO versions VALUES (?, ?)`, v+1, ms(t.now)); err != nil {
				return err
			}
		}
		return nil
	})
}

// tx runs f in the one writer. When it returns nil, what f wrote is on disk.
func (d *database) tx(ctx context.Context, f func(*tx) error) error {
	st, err := d.w.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	t := &tx{Tx: st, d: d, now: d.now(), wakened: map[string]bool{}}
	if err := f(t); err != nil {
		_ = st.Rollback() // err is the cause
		return err
	}
	if err := st.Commit(); err != nil {
		return err
	}
	for store := range t.wakened {
		d.notify(store)
	}
	return nil
}

// ms is a time as the database holds it; the zero time is 0.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMS(v int64) time.Time {
	if v == 0 {
		return time.Time{}
	}
	return time.UnixMilli(v).UTC()
}

// randomHex gives 2n hexadecimal digits.
func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never errs since Go 1.24
	return hex.EncodeToString(b)
}

// redactURL keeps a password in a database URL out of messages.
func redactURL(s string) string {
	if u, err := url.Parse(s); err == nil && u.User != nil {
		return u.Redacted()
	}
	return s
}

func isNoRows(err error) bool { return errors.Is(err, sql.ErrNoRows) }
