-- Version 3: what replicas agree on. expires_at and full_at are by the database's
-- own clock.

CREATE TABLE leases (
  name       TEXT PRIMARY KEY,              -- line/STORE/LINE, or the name of scheduled work
  holder     TEXT NOT NULL,
  expires_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE buckets (
  name    TEXT PRIMARY KEY,                 -- mode, account and endpoint
  full_at INTEGER NOT NULL                  -- when all rights to ask will be there again
) WITHOUT ROWID;
