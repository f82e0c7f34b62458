-- Since when the verdict of a device is as it is, what became of a device's certificates, and what the last backup would
-- bring back.
ALTER TABLE device ADD COLUMN verdict_since BIGINT;
ALTER TABLE backup ADD COLUMN root TEXT;        -- SHA-256 of the root in force then, lower-case hexadecimal
ALTER TABLE backup ADD COLUMN recovery TEXT;    -- the public half of the recovery key that opens it
ALTER TABLE backup ADD COLUMN tried BOOLEAN NOT NULL DEFAULT FALSE; -- that key, or one of the same print, has opened one
ALTER TABLE certificate ADD COLUMN laid_aside BOOLEAN NOT NULL DEFAULT FALSE; -- its device went out of the list
