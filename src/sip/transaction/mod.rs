//! RFC 3261 §17 and RFC 6026 transactions, sans-IO: no socket, no clock, no task inside. Knows no rule.
