//! The fields of an array of JSON, one after the other, as `brief` writes them: numbers, `null`, and texts
//! without escapes, with no space between. Whatever else there is gives `None` and is left to serde, which is
//! right about everything and took half of the time of a report.

use memchr::memchr2;

pub(super) struct Fields<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Fields<'a> {
    pub fn of(text: &'a str) -> Option<Self> {
        text.starts_with('[').then_some(Self { text, at: 1 })
    }

    pub fn text(&mut self) -> Option<Option<&'a str>> {
        if self.is_null() {
            return self.past_comma(None);
        }
        let begin = self.at + 1;
        let rest = self.text.as_bytes().get(begin..).filter(|_| self.byte() == Some(b'"'))?;
        let end = begin + memchr2(b'"', b'\\', rest)?;
        let text = self.text.get(begin..end).filter(|_| rest[end - begin] == b'"')?;
        self.at = end + 1;
        self.past_comma(Some(text))
    }

    pub fn natural(&mut self) -> Option<Option<u64>> {
        if self.is_null() {
            return self.past_comma(None);
        }
        let (begin, mut number) = (self.at, 0_u64);
        while let Some(digit @ b'0'..=b'9') = self.byte() {
            number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
            self.at += 1;
        }
        // A number of JSON has no zeros before it.
        let length = self.at - begin;
        let zeros = length > 1 && self.text.as_bytes()[begin] == b'0';
        if length == 0 || zeros { None } else { self.past_comma(Some(number)) }
    }

    pub fn integer(&mut self) -> Option<Option<i64>> {
        let is_negative = self.byte() == Some(b'-');
        self.at += usize::from(is_negative);
        Some(match (self.natural()?, is_negative) {
            (None, false) => None,
            (None, true) => return None,
            (Some(number), false) => Some(i64::try_from(number).ok()?),
            // Minus zero is a fraction to serde.
            (Some(0), true) => return None,
            (Some(number), true) => Some(0_i64.checked_sub_unsigned(number)?),
        })
    }

    /// Whether that was all of it.
    pub fn is_over(&self) -> bool {
        self.at == self.text.len()
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn is_null(&mut self) -> bool {
        let is = self.text.as_bytes()[self.at..].starts_with(b"null");
        self.at += if is { 4 } else { 0 };
        is
    }

    /// Or past the bracket at the end.
    fn past_comma<T>(&mut self, field: T) -> Option<T> {
        let expected = if self.at + 1 == self.text.len() { b']' } else { b',' };
        let is = self.byte() == Some(expected);
        self.at += 1;
        is.then_some(field)
    }
}
