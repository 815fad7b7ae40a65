-- Version 11: what the readers of a store are wanted to be told by Stripe's
-- Configuration, and how that compared last. Secrets are named by their files.

CREATE TABLE configurations (
  store       TEXT PRIMARY KEY,
  wanted      TEXT NOT NULL,                -- JSON
  by_whom     TEXT NOT NULL,
  at          INTEGER NOT NULL,             -- applied, ms
  checked_at  INTEGER NOT NULL DEFAULT 0,   -- last compared; 0: never
  differences TEXT NOT NULL DEFAULT '[]',   -- JSON
  unknown     TEXT NOT NULL DEFAULT ''      -- why the last comparison could not be made
) WITHOUT ROWID;
