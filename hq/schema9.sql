-- Version 9: who did what at headquarters. Lines are added, never changed or taken out.

CREATE TABLE audit (
  seq     INTEGER PRIMARY KEY AUTOINCREMENT,
  at     INTEGER NOT NULL,
  by_whom TEXT NOT NULL,                  -- a person's name or account
  act    TEXT NOT NULL,                   -- store.add, finding.confirmed, …
  store  TEXT NOT NULL,
  detail TEXT NOT NULL
);
CREATE INDEX audit_by_store ON audit(store, seq);

-- What was decided before there was a log.
INSERT INTO audit (at, by_whom, act, store, detail)
  SELECT decided_at, decided_by, 'finding.' || decision, store, code || ' ' || ref || ': ' || decided_note
  FROM findings WHERE decided_by <> '' AND decision IN ('confirmed', 'dismissed') ORDER BY decided_at, seq;
