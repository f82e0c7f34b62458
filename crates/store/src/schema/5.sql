-- The authority's word, by its own key, that `for_recovery` and the recovery key in the vault belong together: what is
-- encrypted while nobody knows a secret is encrypted by it. NULL, as in `for_recovery`, only until an older ledger is opened.
ALTER TABLE authority_key ADD COLUMN vouched BLOB;
