//! Named points at which a test stops the process or makes the disk fail, told by `CLAPET_FAILPOINTS`.
//!
//! Only builds with debug assertions have them: in a release build both functions are empty and nothing reads the variable, so that
//! nobody can stop a production process this way. `NAME=ACTION@N`, several separated by commas: from the N-th time that the point is
//! reached (the first where `@N` is not there). Actions: `kill` (SIGKILL to itself), `sleep:MS`, or a number, the `errno` that an
//! operation on the disk fails with.

#[cfg(not(debug_assertions))]
mod inactive {
    /// Does nothing.
    #[inline(always)]
    pub(crate) const fn reach(_name: &str) {}

    /// Does nothing.
    #[inline(always)]
    pub(crate) const fn disk(_name: &str) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(debug_assertions)]
mod active {
    use std::io;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Action {
        Kill,
        Sleep(Duration),
        Fail(i32),
    }

    #[derive(Debug)]
    struct Point {
        name: String,
        action: Action,
        from: u64,
        reached: AtomicU64,
    }

    impl Point {
        fn parse(text: &str) -> Option<Self> {
            let (name, rest) = text.trim().split_once('=')?;
            let (action, from) = rest.split_once('@').unwrap_or((rest, "1"));
            let action = match action.split_once(':') {
                Some(("sleep", milliseconds)) => Action::Sleep(Duration::from_millis(milliseconds.parse().ok()?)),
                None if action == "kill" => Action::Kill,
                _ => Action::Fail(action.parse().ok()?),
            };
            Some(Self {
                name: name.to_owned(),
                action,
                from: from.parse().ok()?,
                reached: AtomicU64::new(0),
            })
        }

        /// Whether this time is one of those meant.
        fn is_due(&self) -> bool {
            self.reached.fetch_add(1, Ordering::Relaxed) + 1 >= self.from
        }
    }

    fn points() -> &'static [Point] {
        static POINTS: OnceLock<Vec<Point>> = OnceLock::new();
        POINTS.get_or_init(|| {
            let told = std::env::var("CLAPET_FAILPOINTS").unwrap_or_default();
            told.split(',').filter_map(Point::parse).collect()
        })
    }

    fn due(name: &str) -> Option<Action> {
        let point = points().iter().find(|point| point.name == name)?;
        point.is_due().then_some(point.action)
    }

    /// A point at which the process may be told to stop or to wait.
    pub(crate) fn reach(name: &str) {
        match due(name) {
            Some(Action::Kill) => die(),
            Some(Action::Sleep(time)) => std::thread::sleep(time),
            Some(Action::Fail(_)) | None => {}
        }
    }

    /// A point before an operation on the disk, which may be told to fail.
    pub(crate) fn disk(name: &str) -> io::Result<()> {
        match due(name) {
            Some(Action::Kill) => die(),
            Some(Action::Sleep(time)) => std::thread::sleep(time),
            Some(Action::Fail(code)) => return Err(io::Error::from_raw_os_error(code)),
            None => {}
        }
        Ok(())
    }

    fn die() -> ! {
        // As a loss of power would: no destructor runs, nothing is flushed.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        loop {
            std::thread::park();
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_point_says_what_happens_and_from_which_time_on() {
            let point = Point::parse("journal.write=28@3").unwrap();
            assert_eq!((point.name.as_str(), point.action), ("journal.write", Action::Fail(28)));
            assert_eq!([0; 4].map(|_| point.is_due()), [false, false, true, true]);
            let point = Point::parse(" journal.sync=sleep:20").unwrap();
            assert_eq!(point.action, Action::Sleep(Duration::from_millis(20)));
            assert!(point.is_due());
            assert_eq!(Point::parse("reserve.before=kill@9").unwrap().action, Action::Kill);
            assert!(Point::parse("").is_none() && Point::parse("a=b").is_none() && Point::parse("a=kill@x").is_none());
        }
    }
}

#[cfg(debug_assertions)]
pub(crate) use active::{disk, reach};
#[cfg(not(debug_assertions))]
pub(crate) use inactive::{disk, reach};
