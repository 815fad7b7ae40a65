-- Version 14: the public half of the key that a hub signs its requests with.

ALTER TABLE stores ADD COLUMN hub_key TEXT NOT NULL DEFAULT ''; -- '': it was enrolled without one
