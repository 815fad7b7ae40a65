-- Version 5: what Stripe last said of a Location's readers, for all replicas.

CREATE TABLE reader_lists (
  mode     TEXT NOT NULL,
  account  TEXT NOT NULL,
  location TEXT NOT NULL,
  at       INTEGER NOT NULL,
  list     BLOB NOT NULL,
  PRIMARY KEY (mode, account, location)
) WITHOUT ROWID;
