package main

import (
	"database/sql"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver
)

// sqlite is SQLite in Go, in WAL mode with synchronous=FULL: each commit flushes
// the write-ahead log.
type sqlite struct {
	*group
	db  *sql.DB
	put *sql.Stmt
}

func openSQLite(dir string) (store, error) {
	name := "file:" + filepath.Join(dir, "sqlite") +
		"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate"
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	s := &sqlite{db: db}
	_, err = db.Exec("CREATE TABLE IF NOT EXISTS operations (n INTEGER PRIMARY KEY, payload BLOB NOT NULL)")
	if err == nil {
		s.put, err = db.Prepare("INSERT INTO operations (payload) VALUES (?)")
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	s.group = newGroup(s.commit)
	return s, nil
}

func (s *sqlite) commit(payloads [][]byte) error {
	tx, err := s.db.Begin()
	if err != nil {
		return err
	}
	put := tx.Stmt(s.put)
	for _, p := range payloads {
		if _, err := put.Exec(p); err != nil {
			_ = tx.Rollback() // the first error is the one that matters
			return err
		}
	}
	return tx.Commit()
}

func (s *sqlite) each(f func([]byte) bool) error {
	rows, err := s.db.Query("SELECT payload FROM operations ORDER BY n")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var p []byte
		if err := rows.Scan(&p); err != nil {
			return err
		}
		if !f(p) {
			return nil
		}
	}
	return rows.Err()
}

func (s *sqlite) Close() error {
	s.stop()
	return s.db.Close()
}
