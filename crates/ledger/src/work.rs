//! Counts pieces of work in tests, so that "an event costs the same with many jobs as with few" is
//! something that a test can see. Outside of tests it is nothing.

#[cfg(test)]
thread_local! {
    static DONE: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// So many classes, jobs or runners were looked at.
#[inline]
pub fn count(pieces: usize) {
    #[cfg(test)]
    DONE.with(|done| done.set(done.get() + pieces));
    #[cfg(not(test))]
    let _ = pieces;
}

/// How many since the last time that it was asked.
#[cfg(test)]
pub fn done() -> usize {
    DONE.with(|done| done.replace(0))
}
