package hq

import (
	"context"
	crand "crypto/rand"
	"database/sql"
	"database/sql/driver"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"modernc.org/sqlite" // the driver "sqlite"
)

//go:embed schema.sql
var schema1 string

//go:embed schema2.sql
var schema2 string

//go:embed schema3.sql
var schema3 string

//go:embed schema4.sql
var schema4 string

//go:embed schema5.sql
var schema5 string

//go:embed schema6.sql
var schema6 string

//go:embed schema7.sql
var schema7 string

//go:embed schema8.sql
var schema8 string

//go:embed schema9.sql
var schema9 string

//go:embed schema10.sql
var schema10 string

//go:embed schema11.sql
var schema11 string

//go:embed schema12.sql
var schema12 string

//go:embed schema13.sql
var schema13 string

//go:embed schema14.sql
var schema14 string

//go:embed schema15.sql
var schema15 string

//go:embed schema16.sql
var schema16 string

//go:embed schema17.sql
var schema17 string

//go:embed schema18.sql
var schema18 string

//go:embed schema19.sql
var schema19 string

// migrations bring the schema from version i to i+1. They are never edited once
// released; a change is a new line.
var migrations = []string{schema1, schema2, schema3, schema4, schema5, schema6, schema7, schema8, schema9, schema10, schema11, schema12, schema13, schema14, schema15, schema16, schema17, schema18, schema19}

// Engine is a database that several replicas of headquarters share (hq/postgres).
// It takes the same SQL as SQLite: ? and ?N for arguments, 0 and 1 for no and yes.
type Engine interface {
	Connector() driver.Connector
	Schema(text string) string // a migration in its words
	Lock() string              // a statement that lets one replica at a time change the schema
	Clock() string             // its clock in SQL, in milliseconds since 1970
	Loosely() string           // a condition that holds, with which a statement's own commit is not waited for
	Again(err error) bool      // a transaction was certainly not done, because of another one
	// Tell lets the other replicas hear the name, without waiting. Listen hears
	// theirs until ctx ends, and says when that works and when it does not.
	Tell(name string)
	Listen(ctx context.Context, heard func(name string), listening func(bool))
}

// database is headquarters' disk. A transaction sees it as if it were alone: SQLite
// has one writer, another engine is asked for SERIALIZABLE. Reads go beside it.
type database struct {
	w, r   *sql.DB
	engine Engine // nil: SQLite
	holder string // of leases: this process
	now    func() time.Time
	fault  func(step string) error
	notify func(store string) // called after a commit that added to the store's feed
	// personal lock the keys of personal fields; none: such fields are not kept.
	personal PersonalKeys
	again    atomic.Int64 // transactions that ran again since they met another one
}

// tx is one transaction of the writer, with the stores whose feed it added to.
type tx struct {
	*sql.Tx
	d       *database
	now     time.Time
	wakened map[string]bool
}

// openDatabase opens the engine, or "sqlite:PATH" if there is none, and brings its
// schema up to date.
func openDatabase(name string, engine Engine, now func() time.Time, fault func(string) error) (*database, error) {
	d := &database{engine: engine, holder: randomHex(8), now: now, fault: fault, notify: func(string) {}}
	if engine == nil {
		if err := d.openSQLite(name); err != nil {
			return nil, fmt.Errorf("open database: %w", err)
		}
	} else {
		d.w, d.r = sql.OpenDB(engine.Connector()), sql.OpenDB(engine.Connector())
		for _, pool := range []*sql.DB{d.w, d.r} {
			pool.SetMaxOpenConns(poolSize)
			pool.SetMaxIdleConns(poolSize)
			pool.SetConnMaxIdleTime(5 * time.Minute)
		}
		name = "on the database server"
	}
	if err := d.migrate(context.Background()); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", strings.TrimPrefix(name, "sqlite:"), err), d.close())
	}
	return d, nil
}

// poolSize is how many connections a replica has at most for writing, and as many
// for reading: its work is short, and a server's connections are dear.
const poolSize = 16

func (d *database) openSQLite(name string) error {
	path, ok := strings.CutPrefix(name, "sqlite:")
	if !ok || path == "" {
		return fmt.Errorf("want sqlite:PATH, not %q", redactURL(name))
	}
	// The driver would make the file readable by all.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	// synchronous=FULL: a commit that was answered survives a power cut.
	// secure_delete: a key that is destroyed is not left in a free page.
	// busy_timeout: `hq store add` writes beside a running server.
	q := url.Values{"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "secure_delete(1)"}, "_txlock": {"immediate"}}
	dsn := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
	if d.w, err = sql.Open("sqlite", dsn); err != nil {
		return err
	}
	d.w.SetMaxOpenConns(1)
	if err := connect(d.w); err != nil {
		return errors.Join(err, d.w.Close())
	}
	if d.r, err = sql.Open("sqlite", dsn); err != nil {
		return errors.Join(err, d.w.Close())
	}
	d.r.SetMaxOpenConns(4)
	return nil
}

// connect makes the first connection. Two programs that make a new file meet while one
// of them changes its journal's mode: for that SQLite waits no busy_timeout.
func connect(db *sql.DB) error {
	const busy = 5 // SQLITE_BUSY, in the lowest byte
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(rand.N(20 * time.Millisecond)) {
		var e *sqlite.Error
		if err := db.Ping(); !errors.As(err, &e) || e.Code()&0xff != busy || time.Now().After(end) {
			return err
		}
	}
}

func (d *database) close() error { return errors.Join(d.r.Close(), d.w.Close()) }

func (d *database) migrate(ctx context.Context) error {
	words := func(text string) string { return text }
	// After waiting for another replica each statement must see what that one did.
	o := &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	if d.engine != nil {
		words = d.engine.Schema
	}
	return d.once(ctx, o, func(t *tx) error {
		if d.engine != nil {
			if _, err := t.Exec(d.engine.Lock()); err != nil {
				return err
			}
		}
		if _, err := t.Exec(words(`CREATE TABLE IF NOT EXISTS versions (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL)`)); err != nil {
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
			if _, err := t.Exec(words(migrations[v])); err != nil {
				return fmt.Errorf("bring schema to version %d: %w", v+1, err)
			}
			if _, err := t.Exec(`INSERT INTO versions VALUES (?, ?)`, v+1, ms(t.now)); err != nil {
				return err
			}
		}
		return nil
	})
}

// againFor bounds for how long a transaction is tried anew after meeting others. It is
// a time and no number: of many that meet one gets through at a time, and how many do in
// a second is the database's to say. Callers that must answer sooner have a deadline.
const againFor = 15 * time.Second

// againPause is how long to wait before another try: at first less than a transaction
// takes, since those that met are few; more and more if they are many.
func againPause(try int) time.Duration {
	return rand.N(time.Duration(min(try*try, 100)) * 2 * time.Millisecond)
}

// tx runs f in a transaction of its own. When it returns nil, what f wrote is on
// disk. Where transactions run beside each other f may run more than once, each
// time on what is true by then: it sets anew what it tells its caller.
func (d *database) tx(ctx context.Context, f func(*tx) error) error {
	o := &sql.TxOptions{Isolation: sql.LevelSerializable}
	began := time.Now()
	for try := 1; ; try++ {
		err := d.once(ctx, o, f)
		if err == nil || d.engine == nil || time.Since(began) > againFor || !d.engine.Again(err) {
			return err
		}
		d.again.Add(1)
		if pause(ctx, againPause(try)) != nil {
			return err
		}
	}
}

func (d *database) once(ctx context.Context, o *sql.TxOptions, f func(*tx) error) error {
	st, err := d.w.BeginTx(ctx, o)
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
	_, _ = crand.Read(b) // never errs since Go 1.24
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
