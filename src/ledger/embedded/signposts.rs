//! Where in a page to begin looking for a row: a post at about every half kilobyte, so that finding one takes as long among many as
//! among few. Knows where rows begin and what their keys begin with, and never looks at a page itself.

/// Bytes from one post to the next, at least.
const APART: usize = 512;

/// One row: where it begins, and its place in the order of keys as coarse as memory likes it: posts are read far from the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Post {
    start: u32,
    order: u32,
}

/// See the file's head. In the order of the rows.
#[derive(Default)]
pub(super) struct Signposts(Vec<Post>);

/// Of 58 bits of a number and a byte more, those that tell rows half a kilobyte apart from each other.
fn order(head: u64) -> u32 {
    u32::try_from(head >> 26).unwrap_or(u32::MAX)
}

impl Signposts {
    /// Puts them up anew along these rows, given by where they begin and how their keys do.
    pub fn put_up(&mut self, rows: impl Iterator<Item = (usize, u64)>) {
        self.0.clear();
        let mut next = APART;
        for (start, head) in rows {
            if start >= next {
                let Ok(start) = u32::try_from(start) else { break };
                let order = order(head);
                self.0.push(Post { start, order });
                next = start as usize + APART;
            }
        }
        self.0.shrink_to_fit();
    }

    /// Where to begin looking for keys with that head: the row there, or one behind it, is the first that has it.
    pub fn before(&self, head: u64) -> usize {
        let order = order(head);
        let beyond = self.0.partition_point(|post| post.order < order);
        beyond.checked_sub(1).map_or(0, |last| self.0[last].start as usize)
    }

    /// A row of `old` bytes at `start` gave way to one of `new` bytes (zero: there was, or is, none), in a page that has `length` bytes now.
    /// True where posts stand too far apart by now, and are better put up anew.
    pub fn replaced(&mut self, start: usize, old: usize, new: usize, length: usize) -> bool {
        if u32::try_from(length.max(start + old)).is_err() {
            // No page of a hundred rows is that large.
            self.0.clear();
            return false;
        }
        let mut at = self.0.partition_point(|post| (post.start as usize) < start);
        let itself = self.0.get(at).is_some_and(|post| post.start as usize == start);
        if itself && new == 0 {
            self.0.remove(at);
        } else if itself && old > 0 {
            at += 1;
        }
        #[allow(clippy::cast_possible_truncation)] // all lie within the page
        for post in &mut self.0[at..] {
            post.start = (post.start as usize + new - old) as u32;
        }
        let next = self.0.partition_point(|post| post.start as usize <= start);
        let begins = next.checked_sub(1).map_or(0, |last| self.0[last].start as usize);
        let ends = self.0.get(next).map_or(length, |post| post.start as usize);
        ends - begins > 4 * APART + new
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rows by key head, with their lengths.
    fn starts(rows: &[(u64, usize)]) -> impl Iterator<Item = (usize, u64)> {
        rows.iter().scan(0, |at, (head, length)| {
            let start = *at;
            *at += length;
            Some((start, *head))
        })
    }

    proptest! {
        #[test]
        fn a_search_never_begins_behind_what_it_looks_for(
            changes in proptest::collection::vec((0_u64..60, prop_oneof![Just(0), 20_usize..90, 400_usize..3000]), 1..200)
        ) {
            let mut rows: Vec<(u64, usize)> = Vec::new();
            let mut posts = Signposts::default();
            for (head, new) in changes {
                let head = head << 26;
                let place = rows.iter().position(|row| row.0 >= head).unwrap_or(rows.len());
                let start = rows[..place].iter().map(|row| row.1).sum();
                let old = rows.get(place).filter(|row| row.0 == head).map_or(0, |row| row.1);
                rows.splice(place..place + usize::from(old > 0), (new > 0).then_some((head, new)));
                let length = rows.iter().map(|row| row.1).sum();
                if posts.replaced(start, old, new, length) {
                    posts.put_up(starts(&rows));
                }
                for post in &posts.0 {
                    let at = |(start, head): (usize, u64)| (start, order(head)) == (post.start as usize, post.order);
                    prop_assert!(starts(&rows).any(at), "{post:?} stands at no row");
                }
                for wanted in (0..61).map(|wanted| wanted << 26) {
                    let begins = posts.before(wanted);
                    let found = starts(&rows).find(|row| row.1 >= wanted).map_or(length, |row| row.0);
                    prop_assert!(begins <= found);
                    let walked = starts(&rows).filter(|row| (begins..found).contains(&row.0)).count();
                    let longest = rows.iter().map(|row| row.1).max().unwrap_or(0);
                    prop_assert!(walked * 20 <= 4 * APART + 2 * longest, "{} rows are walked over", walked);
                }
            }
        }
    }

    #[test]
    fn rows_of_one_head_are_looked_for_from_the_first_on() {
        let rows: Vec<(u64, usize)> = (0..40).map(|row| ((row / 20) << 26, 100)).collect();
        let mut posts = Signposts::default();
        posts.put_up(starts(&rows));
        assert_eq!(posts.before(0), 0);
        assert!(posts.before(1 << 26) <= 2000);
        assert!(posts.before(2 << 26) > 3000);
        // Near each other in the order: as one.
        assert!(posts.before((1 << 26) | 5) <= 2000);
    }
}
