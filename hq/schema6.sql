-- Version 6: what is kept no longer than it serves.

ALTER TABLE stores ADD COLUMN feed_read INTEGER NOT NULL DEFAULT 0; -- the hub has the feed up to here on its disk, and perhaps more
CREATE INDEX intents_made           ON intents(created_at);
CREATE INDEX stripe_events_received ON stripe_events(received_at);
CREATE INDEX actions_made           ON actions(created_at);
