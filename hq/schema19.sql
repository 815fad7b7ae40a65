-- Version 19: stand-ins. A live store rehearses in the name of a store of its own, of mode test, which has no hub
-- and no credential: its operations, payments, feed and chain are rows of another store than the live one's.

ALTER TABLE stores ADD COLUMN rehearses TEXT NOT NULL DEFAULT '' CHECK (rehearses = '' OR mode = 'test'); -- the live store; '': it is no stand-in
CREATE UNIQUE INDEX stores_rehearses ON stores(rehearses) WHERE rehearses <> '';
