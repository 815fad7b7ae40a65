-- Version 13: personal fields of operations, each sealed under a key of its own that is
-- kept locked beside it. To destroy that key is to erase them.

CREATE TABLE personal (
  store  TEXT NOT NULL,
  op     TEXT NOT NULL,
  at     INTEGER NOT NULL,
  locked BLOB NOT NULL,
  sealed BLOB NOT NULL,
  PRIMARY KEY (store, op)
) WITHOUT ROWID;
CREATE INDEX personal_at ON personal(at);
-- Those that an earlier version kept in the clear are few soon, and then none.
CREATE INDEX operations_clear ON operations(seq) WHERE kind = 'receipt' AND data IS NOT NULL;
