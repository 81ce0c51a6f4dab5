//! The functions that the fuzz targets run: those that `tests/corpus.rs` runs on the kept corpus. See `README.md`.

#[path = "../../tests/corpus/exercise/mod.rs"]
pub mod exercise;
