-- Version 18: who may look at the console, and what they keep there.

CREATE TABLE console_links (
  hash    BLOB PRIMARY KEY,                 -- SHA-256 of the code, which works once
  who     TEXT NOT NULL,
  role    TEXT NOT NULL,                    -- operator, viewer
  expires_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE console_sessions (
  hash     TEXT PRIMARY KEY,                -- of the browser's cookie
  who      TEXT NOT NULL,
  role     TEXT NOT NULL,
  began_at INTEGER NOT NULL,
  seen_at  INTEGER NOT NULL,
  ends_at  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX console_sessions_by_who ON console_sessions(who);

CREATE TABLE console_views (
  name     TEXT PRIMARY KEY,
  query    TEXT NOT NULL,
  by_whom  TEXT NOT NULL,
  at       INTEGER NOT NULL
) WITHOUT ROWID;

-- The newest operations of a store.
CREATE INDEX operations_by_store ON operations(store, seq);
