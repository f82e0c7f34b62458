-- Two tiers, rollover, revocation, backups.

-- A key that is on this machine. That of an offline root is not.
CREATE TABLE authority_key (
    authority_id INTEGER PRIMARY KEY REFERENCES authority (id),
    sealed       BLOB NOT NULL,             -- PKCS#8, with the master key
    for_recovery TEXT                       -- the same for the recovery key (age); NULL until an older ledger is opened
);
INSERT INTO authority_key (authority_id, sealed) SELECT id, sealed_key FROM authority;
ALTER TABLE authority DROP COLUMN sealed_key;

ALTER TABLE authority ADD COLUMN root_id INTEGER REFERENCES authority (id); -- with two tiers: the root above
ALTER TABLE authority ADD COLUMN state TEXT NOT NULL DEFAULT 'active';      -- next, active, old; of an offline root: offline

ALTER TABLE certificate ADD COLUMN revoked_at BIGINT;
ALTER TABLE certificate ADD COLUMN revocation_reason TEXT;
CREATE INDEX certificate_revoked ON certificate (authority_id) WHERE revoked_at IS NOT NULL;
CREATE INDEX certificate_intent ON certificate (intended_at) WHERE der IS NULL;

-- The newest list of each authority. A number is taken before the list is read, so that a later number never holds less.
CREATE TABLE crl (
    authority_id INTEGER PRIMARY KEY REFERENCES authority (id),
    taken        BIGINT NOT NULL,           -- the last number given away
    number       BIGINT,                    -- of the list stored here
    next_update  BIGINT,
    der          BLOB
);

CREATE TABLE backup (
    at   BIGINT NOT NULL,                   -- of the last one only
    file TEXT NOT NULL
);
