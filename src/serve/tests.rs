//! In process, with real sockets.
