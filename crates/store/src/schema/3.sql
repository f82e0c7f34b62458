-- Browsers that read the trust page's test over a certificate of this root: where they are and the last day, no more. It
-- informs whoever decides on a rollover, and is kept small: anybody on the network may add to it.
CREATE TABLE proof (
    root    TEXT NOT NULL,                  -- SHA-256, lower-case hexadecimal
    address TEXT NOT NULL,
    day     BIGINT NOT NULL,                -- its first second
    PRIMARY KEY (root, address)
);
