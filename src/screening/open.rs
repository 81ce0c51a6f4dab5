//! From the files found at the start to shelves: tiers where they still stand for their originals, originals otherwise.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::file::{Kind, Label};
use super::folder::{Folder, Name};
use super::layer::Layer;
use super::shelf::{Hot, Original, Shelf};
use super::{ScreeningError, Shelves, keep_tier};

/// Builds every shelf. What cannot be read is reported and left out.
pub(super) fn shelves(folder: &Folder, names: Vec<(Name, String)>, faults: &mut Vec<ScreeningError>) -> Shelves {
    let mut owners: FxHashMap<_, Vec<_>> = FxHashMap::default();
    for (name, text) in names {
        owners.entry((name.list, name.siren)).or_default().push((name, text));
    }
    let mut shelves = Shelves::default();
    for ((list, siren), files) in owners {
        let mut shelf = Shelf::new(list, siren);
        let mut tiers = Vec::new();
        for (name, text) in files {
            if name.kind == Kind::Tier {
                match folder.read(&text) {
                    Ok((label, layer)) => tiers.push((label, layer, text)),
                    Err(error) => faults.push(error),
                }
            } else {
                shelf.originals.push(Arc::new(Original {
                    stamp: name.stamp,
                    kind: name.kind,
                    name: text,
                    layer: None,
                }));
            }
        }
        shelf.originals.sort_by_key(|original| original.stamp);
        // A damaged original changes which layers answer: begin again without it.
        while let Err((at, error)) = fill(folder, &mut shelf, &tiers) {
            faults.push(error);
            shelf.originals.remove(at);
        }
        shelf.compact(&|label, layer| keep_tier(Some(folder), label, layer));
        for (_, _, text) in &tiers {
            if !shelf.tiers().any(|used| used == text) {
                folder.remove(text);
            }
        }
        if !shelf.originals.is_empty() {
            shelves.insert((list, siren), Arc::new(shelf));
        }
    }
    shelves
}

/// Loads what answers for today. Fails with the position of an original that cannot be read.
fn fill(
    folder: &Folder,
    shelf: &mut Shelf,
    tiers: &[(Label, Arc<Layer>, String)],
) -> Result<(), (usize, ScreeningError)> {
    shelf.hot.clear();
    shelf.settle();
    let answers = |original: &Arc<Original>| shelf.replaces(original.kind) && original.stamp.day <= shelf.boundary;
    let mut at = shelf.originals.iter().rposition(answers).unwrap_or(0);
    while let Some(original) = shelf.originals.get(at) {
        let usable = tiers
            .iter()
            .filter(|(label, ..)| label.from == original.stamp && shelf.accepts(label.from, label.upto, label.digest));
        if let Some((label, layer, text)) = usable.max_by_key(|(label, ..)| label.upto) {
            shelf.hot.push(Hot {
                layer: layer.clone(),
                kind: Kind::Tier,
                from: label.from,
                upto: label.upto,
                tier: Some(text.clone()),
            });
            let upto = label.upto;
            at = shelf.originals.partition_point(|original| original.stamp <= upto);
        } else {
            let (_, layer) = folder.read(&original.name).map_err(|error| (at, error))?;
            shelf.hot.push(Hot::of(original, layer));
            at += 1;
        }
    }
    shelf.settle();
    Ok(())
}
