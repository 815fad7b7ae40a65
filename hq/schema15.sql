-- Version 15: which till had a reader refund how much, for what it may refund in sum.

ALTER TABLE actions ADD COLUMN till   TEXT NOT NULL DEFAULT '';
ALTER TABLE actions ADD COLUMN amount INTEGER NOT NULL DEFAULT 0; -- 0: not said, or refused
CREATE INDEX actions_refunds ON actions(store, till, created_at) WHERE amount > 0;
