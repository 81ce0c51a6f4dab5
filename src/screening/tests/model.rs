//! Screening against a model that keeps every import in a list.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
struct Import {
    list: List,
    siren: Option<Siren>,
    day: i32,
    plain: bool,
    clear: Vec<u64>,
    opposed: Vec<u64>,
}

fn import() -> impl Strategy<Value = Import> {
    let some = || prop::collection::vec(0..40u64, 0..12);
    (
        any::<bool>(),
        any::<bool>(),
        0..14i32,
        prop::bool::weighted(0.2),
        some(),
        some(),
    )
        .prop_map(|(bloctel, own, day, plain, clear, opposed)| Import {
            list: if bloctel { List::Bloctel } else { List::Opposition },
            siren: own.then_some(ACME),
            day,
            plain,
            clear: if plain { Vec::new() } else { clear },
            opposed,
        })
}

/// Newest first, of one list and owner, known on a day.
fn known(imports: &[Import], list: List, siren: Option<Siren>, on: i32) -> Vec<&Import> {
    let mut known: Vec<_> = imports
        .iter()
        .filter(|i| i.list == list && i.siren == siren && i.day <= on)
        .collect();
    known.sort_by_key(|import| import.day);
    // Of one day the later import comes first: the sort was stable.
    known.reverse();
    known
}

fn model_bloctel(imports: &[Import], siren: Option<Siren>, n: u64, on: i32) -> Bloctel {
    let known = known(imports, List::Bloctel, siren, on);
    for import in &known {
        if import.opposed.contains(&n) {
            return Bloctel::Opposed(day(import.day));
        }
        if import.plain || import.clear.contains(&n) {
            return Bloctel::Clear(day(import.day));
        }
    }
    known
        .first()
        .map_or(Bloctel::NoList, |newest| Bloctel::Unscreened(Some(day(newest.day))))
}

fn model_since(imports: &[Import], siren: Option<Siren>, n: u64, on: i32) -> Option<NaiveDate> {
    let listed = known(imports, List::Opposition, siren, on)
        .into_iter()
        .filter(|import| import.opposed.contains(&n));
    listed.map(|import| day(import.day)).min()
}

fn agrees(screening: &Screening, imports: &[Import]) -> Result<(), TestCaseError> {
    for on in -1..16 {
        for n in 0..41 {
            // Somebody without lists of their own sees those for all.
            let all = model_bloctel(imports, None, n, on);
            prop_assert_eq!(screening.bloctel(OTHER, number(n), day(on)), all, "{} on {}", n, on);
            prop_assert_eq!(
                screening.opposed_since(OTHER, number(n), day(on)),
                model_since(imports, None, n, on),
                "{} on {}",
                n,
                on
            );
            let own = model_bloctel(imports, Some(ACME), n, on);
            let rank = |bloctel: Bloctel| match bloctel {
                Bloctel::NoList => (0, None),
                Bloctel::Unscreened(day) => (1, day),
                Bloctel::Clear(day) => (2, Some(day)),
                Bloctel::Opposed(day) => (3, Some(day)),
            };
            let both = if rank(own) > rank(all) { own } else { all };
            prop_assert_eq!(screening.bloctel(ACME, number(n), day(on)), both, "{} on {}", n, on);
            let since = model_since(imports, Some(ACME), n, on).max(model_since(imports, None, n, on));
            prop_assert_eq!(
                screening.opposed_since(ACME, number(n), day(on)),
                since,
                "{} on {}",
                n,
                on
            );
        }
    }
    Ok(())
}

fn load(screening: &Screening, import: &Import) {
    let snapshot = if import.plain {
        plain(import.opposed.iter().copied())
    } else {
        screened(import.clear.iter().copied(), import.opposed.iter().copied())
    };
    screening
        .load(import.list, import.siren, day(import.day), snapshot)
        .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Days in any order: what is loaded late for an early day counts from that day.
    #[test]
    fn every_day_is_answered_as_if_all_imports_were_kept_in_a_list(imports in prop::collection::vec(import(), 0..30)) {
        let screening = Screening::in_memory();
        for import in &imports {
            load(&screening, import);
        }
        agrees(&screening, &imports)?;
    }

    #[test]
    fn a_store_closed_and_opened_again_answers_the_same(imports in prop::collection::vec(import(), 0..24), reopen in 0..24usize) {
        let folder = tempfile::tempdir().unwrap();
        let mut screening = open(folder.path());
        for (at, import) in imports.iter().enumerate() {
            if at == reopen {
                drop(screening);
                screening = open(folder.path());
            }
            load(&screening, import);
        }
        agrees(&screening, &imports)?;
        drop(screening);
        agrees(&open(folder.path()), &imports)?;
    }

    #[test]
    fn damage_anywhere_in_any_file_loses_that_file_only(imports in prop::collection::vec(import(), 1..12), which: prop::sample::Index, at: prop::sample::Index, bit in 0..8u8) {
        let folder = tempfile::tempdir().unwrap();
        let screening = open(folder.path());
        for import in &imports {
            load(&screening, import);
        }
        drop(screening);
        let files = files(folder.path());
        let victim = which.get(&files);
        let mut bytes = fs::read(victim).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        fs::write(victim, &bytes).unwrap();
        let (screening, faults) = Screening::open(folder.path()).unwrap();
        // One that a tier or a plain list stands for is not read before a replay asks for its day.
        let mut left = imports.clone();
        let name = victim.file_name().unwrap().to_str().unwrap();
        let original = folder::Name::parse(name).filter(|name| name.kind != Kind::Tier);
        if faults.is_empty() {
            prop_assert!(original.is_some());
            return Ok(());
        }
        prop_assert_eq!(faults.len(), 1);
        let mut aside = victim.clone().into_os_string();
        aside.push(".damaged-1");
        prop_assert!(Path::new(&aside).exists());
        // A tier is merged anew under its name.
        prop_assert!(original.is_none() || !victim.exists());
        if let Some(name) = original {
            left.remove(usize::try_from(name.stamp.sequence).unwrap() - 1);
        }
        agrees(&screening, &left)?;
    }
}
