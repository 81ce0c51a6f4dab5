//! What hostile bytes are put through: one function for each reader of bytes from outside. It panics where the reader does, or where
//! something that must hold of every input does not.
//!
//! Called by `tests/corpus.rs` on the kept corpus and its mutations, and by the fuzz targets in `fuzz/`: what a run of the fuzzer
//! found is then tested in every build. Judges nothing by the content of a particular file.

pub mod config;
pub mod import;
pub mod journal;
pub mod message;
pub mod number;
pub mod proxy;
pub mod stream;
pub mod uri;

/// Puts a reader through one input.
pub type Exercise = fn(&[u8]);

/// Every reader with its name, which is that of its fuzz target and of its folder of the corpus.
pub const ALL: [(&str, Exercise); 10] = [
    ("message", message::message),
    ("stream", stream::stream),
    ("uri", uri::uri),
    ("number", number::number),
    ("import", import::import),
    ("config", config::config),
    ("law", config::law),
    ("journal", journal::journal),
    ("record", journal::record),
    ("proxy", proxy::proxy),
];
