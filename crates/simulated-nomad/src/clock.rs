//! The time as the state sees it: the wall clock, never going back, or a time of before while a journal
//! is read again.
//!
//! Read next: `http.rs`.

use super::model::Millis;

#[derive(Debug, Default)]
pub(crate) struct Clock {
    last: Millis,
    standing: Option<Millis>,
}

impl Clock {
    pub fn read(&mut self) -> Millis {
        self.last = self.standing.unwrap_or_else(now).max(self.last);
        self.last
    }

    /// It shows this until it is told otherwise.
    pub fn stands_at(&mut self, at: Millis) {
        self.standing = Some(at);
    }

    pub fn stands(&self) -> bool {
        self.standing.is_some()
    }

    pub fn goes_on(&mut self) {
        self.standing = None;
    }
}

pub(crate) fn now() -> Millis {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_or_goes_on_and_never_goes_back() {
        let mut clock = Clock::default();
        clock.stands_at(5);
        assert_eq!((clock.read(), clock.stands()), (5, true));
        clock.stands_at(3);
        assert_eq!(clock.read(), 5);
        clock.goes_on();
        assert!(clock.read() > 5 && !clock.stands());
        clock.last = Millis::MAX;
        assert_eq!(clock.read(), Millis::MAX);
    }
}
