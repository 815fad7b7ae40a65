-- Version 12: what was decided for each shop and pushed to its hub.

CREATE TABLE policies (
  store     TEXT PRIMARY KEY,
  version   INTEGER NOT NULL,
  policy    TEXT NOT NULL,                  -- JSON (see ShopPolicy)
  pushed_at INTEGER NOT NULL,               -- into the feed, ms
  held      INTEGER NOT NULL DEFAULT 0,     -- the version that the hub holds; 0: none, or it has not said
  held_at   INTEGER NOT NULL DEFAULT 0,     -- when it said so last; 0: never
  refused   INTEGER NOT NULL DEFAULT 0,     -- a version that it refused; 0: none
  why       TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
