-- Version 17: certificates for the public names of hubs, signed by an authority that all tills trust.

CREATE TABLE certificates (
  store         TEXT PRIMARY KEY REFERENCES stores(id),
  name          TEXT NOT NULL UNIQUE, -- no two stores have one name
  csr           BLOB NOT NULL,        -- what the hub last asked to have signed
  wanted        INTEGER NOT NULL,     -- 1: to be ordered
  next_try      INTEGER NOT NULL,
  failures      INTEGER NOT NULL DEFAULT 0, -- since the last certificate
  failing_since INTEGER NOT NULL DEFAULT 0,
  why           TEXT NOT NULL DEFAULT '',   -- the last of them
  chain         BLOB,                       -- of csr; NULL: there is none yet
  renew_at      INTEGER NOT NULL DEFAULT 0,
  not_after     INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX certificates_wanted ON certificates(next_try) WHERE wanted = 1;

-- An order is written down before it is made: the authority counts it whatever becomes of the answer.
CREATE TABLE certificate_orders (
  store TEXT NOT NULL REFERENCES stores(id),
  at    INTEGER NOT NULL,
  PRIMARY KEY (store, at)
) WITHOUT ROWID;
