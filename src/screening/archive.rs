//! Originals that no longer answer for today, read again when a replay asks for their days: a few are kept, by size.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::layer::Layer;

/// Most bytes kept; the one asked for last is kept whatever its size.
const MAX_BYTES: usize = 256 << 20;

/// The originals read last.
#[derive(Default)]
pub(super) struct Archive(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// By file name; `None`: it could not be read, which was reported once.
    layers: HashMap<String, (Option<Arc<Layer>>, u64)>,
    bytes: usize,
    clock: u64,
}

impl Archive {
    /// The layer of a file, from memory or by `read`. Blocks while a file is read: not for the call path.
    pub(super) fn get(&self, name: &str, read: impl FnOnce() -> Option<Arc<Layer>>) -> Option<Arc<Layer>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let clock = kept.clock;
        if let Some((layer, used)) = kept.layers.get_mut(name) {
            *used = clock;
            return layer.clone();
        }
        let layer = read();
        let size = layer.as_ref().map_or(0, |layer| layer.bytes());
        while kept.bytes + size > MAX_BYTES && kept.drop_oldest() {}
        kept.bytes += size;
        kept.layers.insert(name.to_owned(), (layer.clone(), clock));
        layer
    }
}

impl Kept {
    fn drop_oldest(&mut self) -> bool {
        let held = self.layers.iter().filter(|(_, (layer, _))| layer.is_some());
        let Some(name) = held.min_by_key(|(_, (_, used))| *used).map(|(name, _)| name.clone()) else {
            return false;
        };
        let dropped = self.layers.remove(&name).and_then(|(layer, _)| layer);
        self.bytes -= dropped.map_or(0, |layer| layer.bytes());
        true
    }
}
