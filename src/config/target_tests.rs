//! How long the names of targets are looked up.

use super::*;

#[test]
fn a_look_up_that_takes_too_long_is_not_waited_for() {
    assert_eq!(within(Duration::from_secs(60), || 1), Some(1));
    let (hold, held) = mpsc::channel::<()>();
    let given = within(Duration::from_millis(1), move || held.recv().is_ok());
    assert_eq!(given, None);
    drop(hold);
    assert_eq!(within(Duration::ZERO, || 1), None, "the time is used up");
}
