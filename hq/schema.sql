-- Version 1. Times are milliseconds since 1970 in UTC; 0 or NULL is "none".

CREATE TABLE stores (
  id               TEXT PRIMARY KEY,
  location         TEXT NOT NULL,
  mode             TEXT NOT NULL,
  account          TEXT NOT NULL,
  name             TEXT NOT NULL,
  time_zone        TEXT NOT NULL,
  day_ends         TEXT NOT NULL,
  credential       BLOB UNIQUE,             -- SHA-256; NULL until a hub enrolled
  fingerprint      TEXT NOT NULL DEFAULT '',
  hub_version      TEXT NOT NULL DEFAULT '',
  epoch            TEXT NOT NULL,
  epoch_fresh      INTEGER NOT NULL DEFAULT 1, -- nothing has been accepted in this epoch yet
  accepted_through INTEGER NOT NULL DEFAULT 0,
  head             TEXT NOT NULL DEFAULT '',
  feed_seq         INTEGER NOT NULL DEFAULT 0,
  created_at       INTEGER NOT NULL
);

-- Present and former Locations prove ownership; made ones are only listed.
CREATE TABLE locations (
  store TEXT NOT NULL REFERENCES stores(id),
  id    TEXT NOT NULL,
  role  TEXT NOT NULL,                      -- present, former, made
  PRIMARY KEY (store, id)
) WITHOUT ROWID;
CREATE INDEX locations_by_id ON locations(id);

CREATE TABLE codes (
  hash       BLOB PRIMARY KEY,
  store      TEXT NOT NULL REFERENCES stores(id),
  expires_at INTEGER NOT NULL,
  used_at    INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- The submit chain, to tell a resend from a fork.
CREATE TABLE chain (
  store  TEXT NOT NULL,
  epoch  TEXT NOT NULL,
  number INTEGER NOT NULL,
  id     TEXT NOT NULL,
  head   TEXT NOT NULL,                     -- after id
  PRIMARY KEY (store, epoch, number)
) WITHOUT ROWID;

CREATE TABLE operations (
  seq          INTEGER PRIMARY KEY AUTOINCREMENT, -- order of arrival
  store        TEXT NOT NULL,
  id           TEXT NOT NULL,
  epoch        TEXT NOT NULL,               -- the last one it was offered in
  kind         TEXT NOT NULL,
  ref          TEXT NOT NULL,
  line         TEXT NOT NULL,               -- canonical intent, or the ref until it is known; '' for records
  amount       INTEGER,
  currency     TEXT NOT NULL,
  data         BLOB,
  till         TEXT NOT NULL,
  mode         TEXT NOT NULL,
  account      TEXT NOT NULL,
  body_hash    TEXT NOT NULL,
  created_at   INTEGER NOT NULL,            -- by the hub's clock; shown only
  mentioned_at INTEGER NOT NULL,            -- by our clock: recorded_at less its age
  recorded_at  INTEGER NOT NULL,
  state        TEXT NOT NULL,
  reason       TEXT NOT NULL DEFAULT '',
  message      TEXT NOT NULL DEFAULT '',
  unknown      TEXT NOT NULL DEFAULT '',
  next_look    INTEGER,                     -- NULL: final
  resting      INTEGER NOT NULL DEFAULT 0,  -- waits and certainly has no effect at Stripe
  deadline     INTEGER NOT NULL DEFAULT 0,  -- Stripe's capture_before
  result       BLOB,
  reversal     BLOB,
  tries        INTEGER NOT NULL DEFAULT 0,  -- fruitless looks in a row
  listed_at    INTEGER NOT NULL DEFAULT 0,  -- first listing of refunds that showed no effect
  contested    INTEGER NOT NULL DEFAULT 0,  -- its id was offered again with another body
  wakes        INTEGER NOT NULL DEFAULT 0,  -- grows when something happened meanwhile
  settled_at   INTEGER NOT NULL DEFAULT 0,
  UNIQUE (store, id)
);
CREATE INDEX operations_due  ON operations(next_look) WHERE next_look IS NOT NULL;
CREATE INDEX operations_line ON operations(store, line);
CREATE INDEX operations_ref  ON operations(ref);
CREATE INDEX operations_by_line ON operations(line);

-- One row per idempotency key, written before it is used.
CREATE TABLE attempts (
  op         INTEGER NOT NULL REFERENCES operations(seq),
  n          INTEGER NOT NULL,
  key        TEXT NOT NULL,
  amount     INTEGER,
  first_used INTEGER NOT NULL,
  last_used  INTEGER NOT NULL,
  uses       INTEGER NOT NULL DEFAULT 1,
  verdict    TEXT NOT NULL DEFAULT '',      -- '', definite, effected
  status     INTEGER NOT NULL DEFAULT 0,
  code       TEXT NOT NULL DEFAULT '',
  message    TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (op, n)
) WITHOUT ROWID;

-- Intents that headquarters made for a store, or found to be its own.
CREATE TABLE intents (
  id         TEXT PRIMARY KEY,
  store      TEXT NOT NULL,
  mode       TEXT NOT NULL,
  account    TEXT NOT NULL,
  ref        TEXT NOT NULL DEFAULT '',      -- metadata[storehub_ref]
  till       TEXT NOT NULL DEFAULT '',
  created_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX intents_ref ON intents(store, ref);

CREATE TABLE feed (
  store TEXT NOT NULL,
  epoch TEXT NOT NULL,
  seq   INTEGER NOT NULL,
  item  BLOB NOT NULL,
  PRIMARY KEY (store, epoch, seq)
) WITHOUT ROWID;

CREATE TABLE stripe_events (
  id          TEXT PRIMARY KEY,
  received_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE cursors (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

-- Reader actions, written before the call.
CREATE TABLE actions (
  seq        INTEGER PRIMARY KEY AUTOINCREMENT,
  store      TEXT NOT NULL,
  mode       TEXT NOT NULL,
  account    TEXT NOT NULL,
  key        TEXT NOT NULL,                 -- the one sent to Stripe
  call       TEXT NOT NULL,
  reader     TEXT NOT NULL,
  intent     TEXT NOT NULL,
  body_hash  TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  open       INTEGER NOT NULL DEFAULT 1,
  UNIQUE (store, key)
);
CREATE UNIQUE INDEX actions_open ON actions(intent) WHERE open = 1;

CREATE TABLE findings (
  seq   INTEGER PRIMARY KEY AUTOINCREMENT,
  store TEXT NOT NULL,
  code  TEXT NOT NULL,
  ref   TEXT NOT NULL,
  note  TEXT NOT NULL,
  at    INTEGER NOT NULL
);
