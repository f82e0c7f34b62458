-- The ledger. Times are seconds since 1970 (UTC) as integers, lists and typed texts are JSON, so that the
-- same statements serve SQLite now and PostgreSQL later.

CREATE TABLE site (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    name       TEXT NOT NULL,
    vault      TEXT NOT NULL,               -- the master key's wrappings
    created_at BIGINT NOT NULL
);

CREATE TABLE authority (
    id          INTEGER PRIMARY KEY,
    certificate BLOB NOT NULL,              -- DER
    sealed_key  BLOB NOT NULL,
    permitted   TEXT NOT NULL,              -- what it may speak for
    constrained BOOLEAN NOT NULL,           -- whether the certificate says so, too
    created_at  BIGINT NOT NULL
);

CREATE TABLE device (
    id            INTEGER PRIMARY KEY,
    host          TEXT NOT NULL,            -- IP:... or DNS:...
    port          INTEGER NOT NULL,         -- where it was first met
    https_port    INTEGER,
    name          TEXT NOT NULL,
    model         TEXT,
    driver        TEXT NOT NULL,
    first_verdict TEXT NOT NULL,            -- before anything was done
    first_finding TEXT,                     -- and why, a code with its arguments
    key_transport TEXT,
    verdict       TEXT NOT NULL,
    serial        TEXT REFERENCES certificate (serial),
    verified_at   BIGINT,
    UNIQUE (host, port)
);

-- A row begins as an intent, before anything is signed, and ends as an issued certificate. A row without
-- `der` is a signature that may or may not have been made, and never left the door.
CREATE TABLE certificate (
    serial       TEXT PRIMARY KEY,          -- lower-case hexadecimal
    authority_id INTEGER NOT NULL REFERENCES authority (id),
    device_id    INTEGER REFERENCES device (id),
    profile      TEXT NOT NULL,
    name         TEXT,
    names        TEXT NOT NULL,
    not_before   BIGINT NOT NULL,
    not_after    BIGINT NOT NULL,
    intended_at  BIGINT NOT NULL,
    issued_at    BIGINT,
    sha256       TEXT UNIQUE,
    der          BLOB
);
CREATE INDEX certificate_not_after ON certificate (not_after);

CREATE TABLE enrolment (
    sequence   INTEGER PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,        -- the mark that it leaves on the device
    device_id  INTEGER NOT NULL REFERENCES device (id),
    state      TEXT NOT NULL,
    before     TEXT NOT NULL,               -- what the driver needs to go back
    serial     TEXT REFERENCES certificate (serial),
    key_transport TEXT,
    started_at BIGINT NOT NULL,
    ended_at   BIGINT
);
CREATE INDEX enrolment_device ON enrolment (device_id);

CREATE TABLE enrolment_step (
    sequence     INTEGER PRIMARY KEY,
    enrolment_id TEXT NOT NULL REFERENCES enrolment (id),
    step         TEXT NOT NULL,
    state        TEXT NOT NULL,
    milliseconds BIGINT NOT NULL,
    text         TEXT NOT NULL,             -- a code with its arguments
    UNIQUE (enrolment_id, step)
);
