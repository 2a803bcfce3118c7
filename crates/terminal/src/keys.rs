//! The keys that are pressed, read from the bytes that a terminal sends for them.

use std::io;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Escape,
    Tab,
    BackTab,
    Backspace,
    Char(char),
    /// With its letter.
    Ctrl(char),
}

/// A sequence of a key that is sent in two pieces is whole within this time; after it, an escape was the
/// key of that name.
const WHOLE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// What is longer is no key.
const LONGEST: usize = 16;

/// Tells each key that is pressed on standard input, until `tell` says that it is enough, or the terminal
/// is gone. Blocks: for a thread of its own.
pub fn read(mut tell: impl FnMut(Key) -> bool) {
    let stdin = io::stdin();
    let mut decoder = Decoder::default();
    let mut buffer = [0; 256];
    loop {
        if decoder.is_unsure() {
            let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
            if poll(&mut fds, Some(&WHOLE)) == Ok(0) && !decoder.rest().is_none_or(&mut tell) {
                return;
            }
        }
        // Not by the buffer of `Stdin`, of which `poll` knows nothing.
        let count = match rustix::io::read(&stdin, &mut buffer) {
            Ok(0) => return,
            Ok(count) => count,
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
        };
        for byte in &buffer[..count] {
            if !decoder.push(*byte).is_none_or(&mut tell) {
                return;
            }
        }
    }
}

/// Puts bytes together to keys.
#[derive(Debug, Default)]
struct Decoder {
    begun: Vec<u8>,
}

impl Decoder {
    /// The key that this byte is the last of.
    fn push(&mut self, byte: u8) -> Option<Key> {
        // Twice: the first was the key.
        if byte == 0x1b && self.begun == [0x1b] {
            return Some(Key::Escape);
        }
        // A new one begins, whatever had begun.
        if byte == 0x1b {
            self.begun.clear();
        }
        self.begun.push(byte);
        match self.begun[..] {
            [0x1b] => None,
            [0x1b, b'[' | b'O'] => None,
            [0x1b, b'[' | b'O', .., last] => {
                let ends = (0x40..=0x7e).contains(&last);
                if !ends && self.begun.len() < LONGEST {
                    return None;
                }
                let sequence = std::mem::take(&mut self.begun);
                ends.then(|| named(&sequence[2..])).flatten()
            }
            // With Alt, which means nothing here.
            [0x1b, ..] => {
                self.begun.clear();
                None
            }
            _ => self.plain(),
        }
    }

    fn plain(&mut self) -> Option<Key> {
        let letter = match std::str::from_utf8(&self.begun) {
            Ok(text) => text.chars().next(),
            // More of it comes.
            Err(error) if error.error_len().is_none() && self.begun.len() < 4 => return None,
            Err(_) => None,
        };
        self.begun.clear();
        Some(match letter? {
            '\r' | '\n' => Key::Enter,
            '\t' => Key::Tab,
            '\u{8}' | '\u{7f}' => Key::Backspace,
            c @ '\u{1}'..='\u{1a}' => Key::Ctrl(char::from(c as u8 + b'a' - 1)),
            c if c.is_control() => return None,
            c => Key::Char(c),
        })
    }

    /// Whether what has begun may be whole.
    fn is_unsure(&self) -> bool {
        !self.begun.is_empty()
    }

    /// Nothing came after it.
    fn rest(&mut self) -> Option<Key> {
        let begun = std::mem::take(&mut self.begun);
        (begun == [0x1b]).then_some(Key::Escape)
    }
}

/// What follows `ESC [` or `ESC O`; a key with Shift or Ctrl is the key.
fn named(sequence: &[u8]) -> Option<Key> {
    let (last, parameters) = sequence.split_last()?;
    Some(match last {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'H' => Key::Home,
        b'F' => Key::End,
        b'Z' => Key::BackTab,
        b'M' => Key::Enter,
        b'~' => match parameters.split(|byte| *byte == b';').next()? {
            b"1" | b"7" => Key::Home,
            b"4" | b"8" => Key::End,
            b"5" => Key::PageUp,
            b"6" => Key::PageDown,
            _ => return None,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = Decoder::default();
        let mut keys: Vec<Key> = bytes.iter().filter_map(|byte| decoder.push(*byte)).collect();
        keys.extend(decoder.rest());
        keys
    }

    #[test]
    fn keys_as_terminals_send_them() {
        use Key::{
            BackTab, Backspace, Char, Ctrl, Down, End, Enter, Escape, Home, PageUp, Tab, Up,
        };
        for (bytes, expected) in [
            (&b"q"[..], &[Char('q')][..]),
            ("gö大".as_bytes(), &[Char('g'), Char('ö'), Char('大')]),
            (b"\x1b[A\x1bOB\x1b[1;5A", &[Up, Down, Up]),
            (b"\x1b[5~\x1b[1~\x1b[4~\x1b[H", &[PageUp, Home, End, Home]),
            (b"\t\x1b[Z\r\x7f\x08", &[Tab, BackTab, Enter, Backspace, Backspace]),
            (b"\x03\x1a", &[Ctrl('c'), Ctrl('z')]),
            (b"\x1b", &[Escape]),
            (b"\x1b\x1b", &[Escape, Escape]),
            (b"\x1bx\x1b[99~q", &[Char('q')]),
            (b"\xff\xfeq", &[Char('q')]),
        ] {
            assert_eq!(keys(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn what_never_ends_is_given_up() {
        let mut bytes = b"\x1b[".to_vec();
        bytes.extend([b'1'; 40]);
        assert!(keys(&bytes).iter().all(|key| *key == Key::Char('1')));
        assert_eq!(keys(b"\x1b[1\x1b[Aq"), [Key::Up, Key::Char('q')]);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_bounded(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::default();
            for byte in bytes {
                if let Some(Key::Char(c)) = decoder.push(byte) {
                    prop_assert!(!c.is_control());
                }
                prop_assert!(decoder.begun.len() <= LONGEST);
            }
        }
    }
}
