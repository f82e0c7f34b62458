-- A device is not an address. It is one row, known by its keys (those of its certificates, and those that it showed at its
-- first contact), then by what it says of itself; and it has addresses and names, each until it is seen elsewhere.

-- Two rows that were one device: met by the port of http and by that of https. Kept, so that it can be said.
CREATE TABLE device_joined (
    gone INTEGER PRIMARY KEY,
    kept INTEGER NOT NULL,
    name TEXT NOT NULL,
    host TEXT NOT NULL,
    port INTEGER NOT NULL
);
INSERT INTO device_joined (gone, kept, name, host, port)
SELECT gone.id, min(kept.id), gone.name, gone.host, gone.port
FROM device gone JOIN device kept ON kept.host = gone.host AND kept.id <> gone.id
WHERE (kept.port = coalesce(gone.https_port, CASE gone.port WHEN 80 THEN 443 END)
       OR gone.port = coalesce(kept.https_port, CASE kept.port WHEN 80 THEN 443 END))
  AND (kept.serial IS NOT NULL, coalesce(kept.verified_at, 0), -kept.id)
    > (gone.serial IS NOT NULL, coalesce(gone.verified_at, 0), -gone.id)
GROUP BY gone.id;
DELETE FROM device_joined WHERE kept IN (SELECT gone FROM device_joined);
UPDATE certificate SET device_id = (SELECT kept FROM device_joined WHERE gone = device_id)
WHERE device_id IN (SELECT gone FROM device_joined);
UPDATE enrolment SET device_id = (SELECT kept FROM device_joined WHERE gone = device_id)
WHERE device_id IN (SELECT gone FROM device_joined);

CREATE TABLE device_address (
    sequence   INTEGER PRIMARY KEY,
    device_id  INTEGER NOT NULL REFERENCES device (id),
    host       TEXT NOT NULL,               -- IP:... or DNS:...
    port       INTEGER NOT NULL,            -- where it was first met
    https_port INTEGER,
    seen_at    BIGINT NOT NULL,
    left_at    BIGINT                       -- NULL: it is there
);
INSERT INTO device_address (device_id, host, port, https_port, seen_at)
SELECT d.id, d.host, coalesce((SELECT min(port) FROM device_joined WHERE kept = d.id AND port < d.port), d.port),
       coalesce(d.https_port, (SELECT max(d.port, port) FROM device_joined WHERE kept = d.id)),
       coalesce(d.verified_at, 0)
FROM device d WHERE d.id NOT IN (SELECT gone FROM device_joined);
CREATE UNIQUE INDEX device_address_place ON device_address (host, port) WHERE left_at IS NULL;
CREATE INDEX device_address_device ON device_address (device_id);

-- Keys that a device showed at its first contact, which are not those of certificates in this ledger.
CREATE TABLE device_key (
    device_id INTEGER NOT NULL REFERENCES device (id),
    key       TEXT NOT NULL,                -- SHA-256 of the SubjectPublicKeyInfo, lower-case hexadecimal
    passing   BOOLEAN NOT NULL,             -- of a throw-away certificate, whose key others may have
    PRIMARY KEY (device_id, key)
);

CREATE TABLE new_device (
    id            INTEGER PRIMARY KEY,
    name          TEXT NOT NULL,
    model         TEXT,
    told          TEXT NOT NULL,            -- what it says of itself, JSON
    mac           TEXT,
    driver        TEXT NOT NULL,
    makes_key     BOOLEAN NOT NULL,
    accepted_at   BIGINT,                   -- when the operator let a run sign in to it for the first time
    sign_in       TEXT,                     -- how, inside TLS
    sign_in_plain TEXT,                     -- and over plain HTTP
    first_verdict TEXT NOT NULL,            -- before anything was done
    first_finding TEXT,                     -- and why, a code with its arguments
    key_transport TEXT,
    verdict       TEXT NOT NULL,
    serial        TEXT REFERENCES certificate (serial),
    verified_at   BIGINT
);
INSERT INTO new_device (id, name, model, told, driver, makes_key, accepted_at, first_verdict, first_finding, key_transport,
                        verdict, serial, verified_at)
SELECT d.id, d.name, d.model, '{}', d.driver, coalesce(d.key_transport = 'none' AND d.serial IS NOT NULL, FALSE),
       (SELECT min(started_at) FROM enrolment WHERE device_id = d.id), d.first_verdict, d.first_finding, d.key_transport,
       d.verdict, d.serial, d.verified_at
FROM device d WHERE d.id NOT IN (SELECT gone FROM device_joined);
DROP TABLE device;
ALTER TABLE new_device RENAME TO device;
