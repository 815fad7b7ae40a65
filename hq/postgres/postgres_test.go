package postgres

import (
	"database/sql"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"storehub/internal/pgcluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestURLs(t *testing.T) {
	// Nothing of the environment decides where the money is written down.
	for k, v := range map[string]string{"PGHOST": "elsewhere", "PGPORT": "1", "PGPASSWORD": "guess", "PGSSLMODE": "require", "PGAPPNAME": "x"} {
		t.Setenv(k, v)
	}
	for address, want := range map[string]struct {
		port  uint16
		plain bool
	}{
		"postgres://hq@127.0.0.1/hq":                   {5432, true},
		"postgresql://hq@[::1]:5433/hq":                {5433, true},
		"postgres://hq@/hq?host=/run/postgresql":       {5432, true},
		"postgres://hq@db.example.com/hq":              {5432, false},
		"postgres://hq@a.example.com,b.example.com/hq": {5432, false},
	} {
		c, err := parse(address)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		if c.Port != want.port || (c.TLSConfig == nil) != want.plain || c.Password != "" || c.Host == "elsewhere" ||
			c.RuntimeParams["application_name"] != "storehub-hq" || c.ValidateConnect == nil {
			t.Errorf("%s: port %d, TLS %v, host %s, %v", address, c.Port, c.TLSConfig != nil, c.Host, c.RuntimeParams)
		}
		if !want.plain && (c.TLSConfig.InsecureSkipVerify || c.TLSConfig.ServerName != c.Host || len(c.Fallbacks) > 0 && c.Fallbacks[0].TLSConfig == nil) {
			t.Errorf("%s: the server need not prove its name", address)
		}
	}
	for address, want := range map[string]string{
		"mysql://u@h/db":                         "want postgres://",
		"postgres://u:very_secret@h/db":          "a password stands in the URL",
		"postgres://u@h/db?password=very_secret": "a password stands in the URL",
		"postgres://h/db":                        "want a user, a host and a database",
		"postgres://u@h":                         "want a user, a host and a database",
		"postgres://u@/db":                       "want a user, a host and a database",
		"postgres://u@h:port/db":                 "",
		"postgres://u@h/db?sslmode=very_secure":  "",
	} {
		err := CheckURL(address)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "very_secret") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestAgainOnlyWhatWasCertainlyNotDone(t *testing.T) {
	for code, want := range map[string]bool{"40001": true, "40P01": true, "23505": true, "40003": false, "57P01": false, "08006": false} {
		if got := new(DB).Again(&pgconn.PgError{Code: code}); got != want {
			t.Errorf("%s: %v", code, got)
		}
	}
	if new(DB).Again(errors.New("connection reset by peer")) {
		t.Error("a commit without an answer would be tried again")
	}
}

// TestConnection holds what the engine promises of a connection, on a server.
func TestConnection(t *testing.T) {
	c, err := pgcluster.Start(pgcluster.Fast...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	address, err := c.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var log lines
	d, err := Open(t.Context(), address, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"setting=fsync", "setting=synchronous_commit", "setting=full_page_writes", "no synchronous standby"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no word of %s in the log:\n%s", want, log.String())
		}
	}
	db := sql.OpenDB(d.Connector())
	defer db.Close()
	if _, err := db.Exec(d.Schema(`CREATE TABLE t (seq INTEGER PRIMARY KEY AUTOINCREMENT, yes INTEGER NOT NULL, word TEXT, raw BLOB); CREATE INDEX i ON t(word)`)); err != nil {
		t.Fatal(err)
	}
	type word string
	if _, err := db.Exec(`INSERT INTO t (yes, word, raw) VALUES (?, ?, ?), (?1, NULL, ?)`, true, word("a\x00b"), []byte{0, 1}, []byte(nil)); err != nil {
		t.Fatal(err)
	}
	var seq, now int64
	var yes bool
	var w word
	var raw []byte
	if err := db.QueryRow(`SELECT seq, yes, word, raw FROM t WHERE word = ?`, "a\x00b").Scan(&seq, &yes, &w, &raw); err != nil || seq != 1 || !yes || w != "a\uFFFDb" || string(raw) != "\x00\x01" {
		t.Errorf("%d %v %q %q, %v", seq, yes, w, raw, err)
	}
	var null bool
	if err := db.QueryRow(`SELECT word IS NULL AND raw IS NULL FROM t WHERE seq = ?`, 2).Scan(&null); err != nil || !null {
		t.Errorf("nothing is not NULL: %v", err)
	}
	if err := db.QueryRow(`SELECT ` + d.Clock()).Scan(&now); err != nil || now < 1_700_000_000_000 {
		t.Errorf("clock %d, %v", now, err)
	}
	if _, err := Open(t.Context(), strings.Replace(address, "/hq1", "/nothing", 1), slog.Default()); err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("opened a database that is not there: %v", err)
	}
}

type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
