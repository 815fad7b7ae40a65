-- Version 16: what readers of a store's Location are told, as far as its hub needs it; '': not known.

ALTER TABLE stores ADD COLUMN offline       TEXT NOT NULL DEFAULT ''; -- on, off
ALTER TABLE stores ADD COLUMN update_window TEXT NOT NULL DEFAULT ''; -- such as 02-05
