-- Version 10: what was read at Stripe, by all replicas, against its allocation.

CREATE TABLE stripe_reads (
  mode     TEXT NOT NULL,
  account  TEXT NOT NULL,
  day      INTEGER NOT NULL,                -- since 1970, UTC
  reads    INTEGER NOT NULL,
  payments INTEGER NOT NULL,                -- captured by us
  PRIMARY KEY (mode, account, day)
) WITHOUT ROWID;
