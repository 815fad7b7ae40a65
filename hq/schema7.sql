-- Version 7: what a till may refund without a manager.

ALTER TABLE stores ADD COLUMN refund_limit INTEGER NOT NULL DEFAULT 0; -- in minor units; 0: refunds are a manager's
