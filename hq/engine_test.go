package hq_test

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"storehub/hq"
	"storehub/hq/postgres"
	"storehub/internal/pgcluster"
)

// The suite runs twice: on SQLite, then on a PostgreSQL of its own.
var engines = flag.String("database", "both", "sqlite, postgres or both")

// cluster is the PostgreSQL that the suite runs on now; nil: it runs on SQLite.
var cluster *pgcluster.Cluster

// onEngines runs the suite on each database.
func onEngines(run func() int) (code int) {
	hq.TestDatabase = giveDatabase
	if *engines != "postgres" {
		code = run()
	}
	if *engines == "sqlite" || code != 0 {
		return code
	}
	var err error
	if cluster, err = pgcluster.Start(pgcluster.Fast...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("the same on PostgreSQL:")
	if code = run(); code != 0 {
		fmt.Fprintln(os.Stderr, "failed on PostgreSQL; its log:", cluster.Log())
	}
	if err := cluster.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// giveDatabase names an empty database of the engine that the suite runs on.
func giveDatabase(t testing.TB, o *hq.Options) {
	t.Helper()
	if cluster == nil {
		o.Database = "sqlite:" + filepath.Join(t.TempDir(), "hq.db")
		return
	}
	address, err := cluster.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	useDatabase(t, o, address)
}

func useDatabase(t testing.TB, o *hq.Options, address string) {
	t.Helper()
	engine, err := postgres.Open(t.Context(), address, quiet())
	if err != nil {
		t.Fatal(err)
	}
	o.Database, o.Engine = address, engine
}

// onSQLite leaves out, on PostgreSQL, a test about SQLite's file.
func onSQLite(t *testing.T) {
	t.Helper()
	if cluster != nil {
		t.Skip("about SQLite's file; it ran there")
	}
}

// backup is a copy of the database as it is while headquarters is down.
func (s *shop) backup() string {
	s.t.Helper()
	if cluster == nil {
		return copyFile(s.t, s.file())
	}
	name := filepath.Base(s.database()) + "_backup"
	s.administer("CREATE DATABASE " + name + " TEMPLATE " + s.database())
	return name
}

// restore puts a copy in the database's place while headquarters is down.
func (s *shop) restore(backup string) {
	s.t.Helper()
	if cluster == nil {
		restore(s.t, backup, s.file())
		return
	}
	s.administer("DROP DATABASE " + s.database())
	s.administer("CREATE DATABASE " + s.database() + " TEMPLATE " + backup)
}

// file is SQLite's.
func (s *shop) file() string { return strings.TrimPrefix(s.opts.Database, "sqlite:") }

// database is PostgreSQL's name of it.
func (s *shop) database() string {
	name, _, _ := strings.Cut(filepath.Base(s.opts.Database), "?")
	return name
}

func (s *shop) administer(statement string) {
	s.t.Helper()
	e, err := postgres.Open(s.t.Context(), strings.Replace(s.opts.Database, "/"+s.database()+"?", "/postgres?", 1), quiet())
	if err != nil {
		s.t.Fatal(err)
	}
	db := sql.OpenDB(e.Connector())
	defer db.Close()
	if _, err := db.ExecContext(context.Background(), statement); err != nil {
		s.t.Fatal(err)
	}
}
