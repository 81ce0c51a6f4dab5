//! The truth: an append-only, hash-chained, group-committed record of every reservation, settlement, decision, refusal, consent
//! and import; read back to rebuild the ledger. It decides nothing.
