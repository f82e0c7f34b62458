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

-- Made anew without an index of fingerprints, whose random order cost a page of the disk for each certificate: one that
-- is served is found by its serial number.
CREATE TABLE new_certificate (
    serial            TEXT PRIMARY KEY,
    authority_id      INTEGER NOT NULL REFERENCES authority (id),
    device_id         INTEGER REFERENCES device (id),
    profile           TEXT NOT NULL,
    name              TEXT,
    names             TEXT NOT NULL,
    not_before        BIGINT NOT NULL,
    not_after         BIGINT NOT NULL,
    intended_at       BIGINT NOT NULL,
    issued_at         BIGINT,
    revoked_at        BIGINT,
    revocation_reason TEXT,
    sha256            TEXT,
    der               BLOB
);
INSERT INTO new_certificate
    (serial, authority_id, device_id, profile, name, names, not_before, not_after, intended_at, issued_at, sha256, der)
SELECT serial, authority_id, device_id, profile, name, names, not_before, not_after, intended_at, issued_at, sha256, der
FROM certificate;
DROP TABLE certificate;
ALTER TABLE new_certificate RENAME TO certificate;
CREATE INDEX certificate_not_after ON certificate (not_after);
CREATE INDEX certificate_revoked ON certificate (authority_id) WHERE revoked_at IS NOT NULL;

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
