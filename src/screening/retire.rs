//! Which snapshot files no day that can still be asked about needs any more. Their records, with the SHA-256 of each file, stay in the
//! journal; an opposition list is never among them, since who asked not to be called binds for good.

use std::sync::Arc;

use chrono::Days;

use super::List;
use super::file::Kind;
use super::layer::Layer;
use super::merge::{merge, newest};
use super::shelf::{Fetch, Original, Shelf};

impl Shelf {
    /// Takes out the originals that decide nothing from `keep` days before the newest import on: those that a plain list replaced before
    /// that day, and screened files of which every number was screened again before it.
    pub(super) fn retire(&mut self, keep: u32, fetch: Fetch<'_>) -> Vec<Arc<Original>> {
        let cutoff = self
            .newest()
            .and_then(|original| original.stamp.day.checked_sub_days(Days::new(keep.into())));
        let Some(cutoff) = cutoff.filter(|_| self.list == List::Bloctel) else {
            return Vec::new();
        };
        let old = self.originals.partition_point(|original| original.stamp.day <= cutoff);
        let replaced = self.originals[..old]
            .iter()
            .rposition(|original| self.replaces(original.kind))
            .unwrap_or(0);
        let mut gone: Vec<Arc<Original>> = self.originals.drain(..replaced).collect();
        let mut kept = Vec::new();
        let mut screened: Option<Arc<Layer>> = None;
        for original in self.originals.drain(..old - replaced).rev() {
            // A plain list answers for every number, not only for those that it names. What cannot be read was reported, and stays.
            let Some(layer) = fetch(&original).filter(|_| original.kind == Kind::Screened) else {
                kept.push(original);
                continue;
            };
            if let Some(newer) = &screened
                && layer.iter().all(|listed| newer.get(listed.number).is_some())
            {
                gone.push(original);
                continue;
            }
            screened = match screened {
                // More different days than one layer can hold: what is older stays.
                Some(newer) => merge(&[layer, newer.clone()], newest).map(Arc::new).or(Some(newer)),
                None => Some(layer),
            };
            kept.push(original);
        }
        kept.reverse();
        self.originals.splice(..0, kept);
        gone
    }
}
