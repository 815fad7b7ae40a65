// Package postgres is PostgreSQL as headquarters' database, for replicas: what
// differs from SQLite, and nothing of what is stored. It goes through
// database/sql, so that one text of every statement serves both engines.
package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// DB is one PostgreSQL database. It holds no connection of its own but those of Listen.
type DB struct {
	config *pgx.ConnConfig
	log    *slog.Logger
	voice  voice
	loose  string
}

// Open checks the URL, asks the server once, and says in the log what makes
// its promises weaker than they must be.
func Open(ctx context.Context, address string, log *slog.Logger) (*DB, error) {
	config, err := parse(address)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	d := &DB{config: config, log: log, voice: newVoice()}
	db := sql.OpenDB(d.Connector())
	err = d.inspect(ctx, db)
	if err := errors.Join(err, db.Close()); err != nil {
		return nil, fmt.Errorf("open database %s on %s: %w", config.Database, config.Host, err)
	}
	return d, nil
}

// CheckURL says what is wrong with a database URL, without a password in its words.
func CheckURL(address string) error {
	_, err := parse(address)
	return err
}

// parse fills in what the URL leaves out, so that nothing of the environment decides.
func parse(address string) (*pgx.ConnConfig, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("want postgres://USER@HOST/DATABASE")
	}
	q := u.Query()
	if _, has := u.User.Password(); has || q.Has("password") {
		return nil, errors.New("a password stands in the URL: put it into a file (HOST:PORT:DATABASE:USER:PASSWORD, mode 0600) and add ?passfile=FILE")
	}
	if u.User.Username() == "" && !q.Has("user") || strings.Trim(u.Path, "/") == "" && !q.Has("dbname") || u.Host == "" && !q.Has("host") {
		return nil, errors.New("want a user, a host and a database: postgres://USER@HOST/DATABASE")
	}
	for key, value := range map[string]string{
		"password":             "",
		"connect_timeout":      "5",
		"application_name":     "storehub-hq",
		"target_session_attrs": "read-write", // of several hosts, the one that is not a standby
		"sslmode":              sslMode(u.Hostname(), q.Get("host")),
	} {
		if !q.Has(key) {
			q.Set(key, value)
		}
	}
	if u.Port() == "" && !q.Has("port") && !strings.Contains(u.Host, ",") {
		q.Set("port", "5432")
	}
	u.RawQuery = q.Encode()
	config, err := pgx.ParseConfig(u.String())
	if err != nil {
		var bad *pgconn.ParseConfigError
		if errors.As(err, &bad) {
			bad.ConnString = "" // it may be anything
		}
		return nil, errors.New(strings.TrimPrefix(err.Error(), "cannot parse ``: "))
	}
	return config, nil
}

// sslMode: what leaves the machine is encrypted, to a server that proves its name.
func sslMode(hosts ...string) string {
	for _, h := range hosts {
		ip, err := netip.ParseAddr(h)
		if h != "" && h != "localhost" && h[0] != '/' && (err != nil || !ip.IsLoopback()) {
			return "verify-full"
		}
	}
	return "disable"
}

// inspect warns of settings that turn "on disk" into "nearly".
func (d *DB) inspect(ctx context.Context, db *sql.DB) error {
	settings := map[string]string{}
	for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes", "synchronous_standby_names"} {
		var v string
		// A PostgreSQL of another make may lack it, and fails no commit for that.
		err := db.QueryRowContext(ctx, `SELECT coalesce(current_setting(?, true), '')`, name).Scan(&v)
		if err != nil {
			return err
		}
		settings[name] = v
	}
	for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		if settings[name] == "off" {
			d.log.Warn("the database may lose what it acknowledged: turn this setting on", "setting", name)
		}
	}
	var ok bool
	// Of another make: then every commit is waited for.
	if d.loose = "true"; db.QueryRowContext(ctx, `SELECT `+loosely).Scan(&ok) == nil && ok {
		d.loose = loosely
	}
	if settings["synchronous_standby_names"] == "" {
		d.log.Info("the database has no synchronous standby: a failover counts as a restore from a backup")
	}
	return nil
}

// Connector makes connections that take headquarters' SQL.
func (d *DB) Connector() driver.Connector {
	return connector{stdlib.GetConnector(*d.config)}
}

// Clock is the database's own clock in SQL: milliseconds since 1970.
func (d *DB) Clock() string {
	return `(extract(epoch FROM clock_timestamp()) * 1000)::bigint`
}

// Loosely is a condition that holds, with which a statement that is a transaction of
// its own does not wait for its commit to be flushed. For what a crash may take back.
func (d *DB) Loosely() string { return d.loose }

// loosely asks for that where the server knows it.
const loosely = `set_config('synchronous_commit', 'off', true) = 'off'`

// Lock is a statement that, first in a transaction, lets one replica at a time
// change the schema.
func (d *DB) Lock() string { return `SELECT pg_advisory_xact_lock(7480)` }

// Again reports whether a transaction certainly was not done because it met
// another one, and may be tried again. Under SERIALIZABLE the loser of two
// inserts may also see the winner's row as a broken constraint.
func (d *DB) Again(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && slices.Contains([]string{"40001", "40P01", "23505"}, e.Code)
}
