//! Files that are damaged, unfinished or nobody's: they are set aside, and the others answer.

use super::*;

#[test]
fn a_damaged_list_is_set_aside_and_the_one_before_answers() {
    let folder = tempfile::tempdir().unwrap();
    let screening = open(folder.path());
    screening.load(List::Bloctel, Some(ACME), day(0), plain([1])).unwrap();
    screening.load(List::Bloctel, Some(ACME), day(30), plain([2])).unwrap();
    drop(screening);
    let newest = files(folder.path()).pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&newest, &bytes).unwrap();
    let (screening, faults) = Screening::open(folder.path()).unwrap();
    assert!(
        matches!(&faults[..], [ScreeningError::Damaged { path, .. }] if *path == newest),
        "{faults:?}"
    );
    assert_eq!(screening.bloctel(ACME, number(1), day(31)), Bloctel::Opposed(day(0)));
    assert_eq!(screening.bloctel(ACME, number(2), day(31)), Bloctel::Clear(day(0)));
    assert!(
        !newest.exists()
            && files(folder.path())
                .iter()
                .any(|file| file.to_string_lossy().ends_with(".damaged-1"))
    );
    screening.load(List::Bloctel, Some(ACME), day(30), plain([2])).unwrap();
    drop(screening);
    assert_eq!(
        open(folder.path()).bloctel(ACME, number(2), day(31)),
        Bloctel::Opposed(day(30))
    );
}

#[test]
fn a_damaged_tier_costs_nothing_but_a_merge() {
    let folder = tempfile::tempdir().unwrap();
    let screening = open(folder.path());
    for n in 0..20u64 {
        screening
            .load(
                List::Bloctel,
                None,
                day(i32::try_from(n).unwrap()),
                screened([n], [n + 100]),
            )
            .unwrap();
    }
    drop(screening);
    let mut tiers = 0;
    for file in files(folder.path()) {
        if file.to_string_lossy().contains(".tier.") {
            tiers += 1;
            let bytes = fs::read(&file).unwrap();
            fs::write(&file, &bytes[..bytes.len() - 5]).unwrap();
        }
    }
    assert!(tiers > 0);
    let (screening, faults) = Screening::open(folder.path()).unwrap();
    assert_eq!(faults.len(), tiers);
    for n in 0..20u64 {
        let on = day(i32::try_from(n).unwrap());
        assert_eq!(screening.bloctel(ACME, number(n), day(30)), Bloctel::Clear(on));
        assert_eq!(screening.bloctel(ACME, number(n + 100), day(30)), Bloctel::Opposed(on));
    }
}

#[test]
fn what_a_crash_left_unfinished_is_removed_and_strangers_are_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path())
        .load(List::Bloctel, None, day(0), plain([1]))
        .unwrap();
    let at = folder.path().join("screening");
    fs::write(at.join("unfinished.tmp"), b"half").unwrap();
    fs::write(at.join("notes.txt"), b"an operator's").unwrap();
    fs::write(at.join("bloctel.list"), b"?").unwrap();
    let good = files(folder.path())[0].clone();
    let renamed = good.to_string_lossy().replace(".all.", ".552100554.");
    fs::copy(&good, &renamed).unwrap();
    let (screening, faults) = Screening::open(folder.path()).unwrap();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(!at.join("unfinished.tmp").exists() && at.join("notes.txt").exists() && !at.join("bloctel.list").exists());
    assert_eq!(screening.states().len(), 1);
}

#[test]
fn an_import_that_cannot_be_written_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let screening = open(folder.path());
    screening.load(List::Bloctel, None, day(0), plain([1])).unwrap();
    fs::remove_dir_all(folder.path().join("screening")).unwrap();
    assert!(matches!(
        screening.load(List::Bloctel, None, day(1), plain([2])),
        Err(ScreeningError::Io { .. })
    ));
    assert_eq!(screening.bloctel(ACME, number(2), day(1)), Bloctel::Clear(day(0)));
}
