-- Version 4: headquarters' own keys.

CREATE TABLE keys (
  name TEXT PRIMARY KEY,
  seed TEXT NOT NULL                        -- ed25519, hex
);
