-- Version 8: what hubs report of themselves.

CREATE TABLE reports (
  store   TEXT PRIMARY KEY REFERENCES stores(id),
  at      INTEGER NOT NULL,               -- when it arrived
  verdict TEXT NOT NULL,
  causes  TEXT NOT NULL,                  -- codes and targets, to notice a change
  network TEXT NOT NULL,                  -- block of addresses it came from; '' if not known
  body    BLOB NOT NULL                   -- the last report
) WITHOUT ROWID;

CREATE TABLE report_changes (
  seq     INTEGER PRIMARY KEY AUTOINCREMENT,
  store   TEXT NOT NULL REFERENCES stores(id),
  at      INTEGER NOT NULL,
  verdict TEXT NOT NULL,
  causes  TEXT NOT NULL
);
CREATE INDEX report_changes_by_store ON report_changes(store, seq);
