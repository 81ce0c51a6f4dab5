//! Sockets: UDP in batches; framing and backpressure. Parses nothing beyond framing.
