-- Version 2: what people decide, tills at headquarters, authorisations watched.

ALTER TABLE stores ADD COLUMN standing    TEXT NOT NULL DEFAULT '';  -- of its hub: '' good, drain, revoked, removed
ALTER TABLE stores ADD COLUMN newcomer    TEXT NOT NULL DEFAULT '';  -- run of a hub that showed a forked head
ALTER TABLE stores ADD COLUMN over_amount TEXT NOT NULL DEFAULT 'capture_authorised'; -- or hold
ALTER TABLE stores ADD COLUMN uncaptured  TEXT NOT NULL DEFAULT 'report'; -- or capture_with_order, cancel_without_order
ALTER TABLE stores ADD COLUMN trust_key   TEXT NOT NULL DEFAULT '';  -- metadata key that proves ownership

ALTER TABLE operations ADD COLUMN order_id TEXT NOT NULL DEFAULT ''; -- data.order
ALTER TABLE operations ADD COLUMN held     INTEGER NOT NULL DEFAULT 0; -- from a drained hub: a person must look
ALTER TABLE operations ADD COLUMN decision TEXT NOT NULL DEFAULT ''; -- a person's: 'dismissed', or what was confirmed, each code followed by a blank
CREATE INDEX operations_order ON operations(store, order_id);

ALTER TABLE findings ADD COLUMN proposal   TEXT NOT NULL DEFAULT ''; -- what confirming does, as JSON; '': nothing
ALTER TABLE findings ADD COLUMN decision   TEXT NOT NULL DEFAULT ''; -- '' open; confirmed, dismissed, moot
ALTER TABLE findings ADD COLUMN decided_by TEXT NOT NULL DEFAULT '';
ALTER TABLE findings ADD COLUMN decided_note TEXT NOT NULL DEFAULT '';
ALTER TABLE findings ADD COLUMN decided_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX findings_by_ref ON findings(store, code, ref);

ALTER TABLE intents ADD COLUMN next_look     INTEGER;                     -- NULL: captured, cancelled or given up
ALTER TABLE intents ADD COLUMN authorised_at INTEGER NOT NULL DEFAULT 0;  -- when it was first seen so
ALTER TABLE intents ADD COLUMN deadline      INTEGER NOT NULL DEFAULT 0;  -- Stripe's capture_before
CREATE INDEX intents_due ON intents(next_look);

-- Tills that may come to headquarters' own doors, as their hub last told.
CREATE TABLE tills (
  hash  TEXT PRIMARY KEY,                   -- hex SHA-256 of the credential
  store TEXT NOT NULL REFERENCES stores(id),
  name  TEXT NOT NULL,
  scope TEXT NOT NULL,
  mode  TEXT NOT NULL
);
CREATE INDEX tills_by_store ON tills(store);
