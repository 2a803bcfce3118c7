//! Text that strangers choose (names of jobs, workflows and branches, labels, messages of other
//! programs), made harmless where it is read: it cannot move a terminal, forge a log line or be
//! expanded by Nomad, and it is short.
//!
//! What is read with it is for people and for meta values; ids and paths are not read by it.

/// Bytes that a text may have, the mark of a cut included.
pub const LONGEST: usize = 256;

/// At most [`LONGEST`] bytes, on one line, of visible characters, without `${`.
pub fn harmless(text: &str) -> String {
    harmless_up_to(text, LONGEST)
}

const CUT: char = '…';

/// The same with another limit, in bytes.
pub fn harmless_up_to(text: &str, longest: usize) -> String {
    // Nearly every text is such a one, and each webhook has a dozen.
    if text.len() <= longest && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len().min(longest));
    let mut before = ' ';
    // So long that a cut can always be told.
    let mut whole = 0;
    for c in text.chars() {
        let c = if moves(c) { ' ' } else { c };
        // Nomad expands `${…}` in meta values (a task's environment, secrets' folder, node).
        let breaks = before == '$' && c == '{';
        let more = c.len_utf8() + usize::from(breaks);
        if shown.len() + more > longest {
            shown.truncate(whole);
            shown.push(CUT);
            return shown;
        }
        if breaks {
            shown.push(' ');
        }
        shown.push(c);
        if shown.len() + CUT.len_utf8() <= longest {
            whole = shown.len();
        }
        before = c;
    }
    shown
}

/// Visible ASCII, but for what an expansion begins with.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'$'
}

/// Control characters (C0, C1), line and paragraph separators, and what changes the direction of
/// writing or is not seen at all.
fn moves(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}')
        || matches!(c, '\u{180b}'..='\u{180f}' | '\u{3164}' | '\u{ffa0}' | '\u{1d173}'..='\u{1d17a}')
        || matches!(c, '\u{1bca0}'..='\u{1bca3}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in ["", "build (ubuntu, 1.90)", "größe / 大きさ", "a $ {b} $c 100%"] {
            assert_eq!(harmless(text), text);
        }
    }

    #[test]
    fn what_moves_a_terminal_or_forges_a_line_is_a_space() {
        assert_eq!(harmless("a\x1b[2Jb\x07\r\nWARN x\u{9b}c"), "a [2Jb   WARN x c");
        assert_eq!(harmless("\u{202e}gpj.exe\u{2066}"), " gpj.exe ");
        assert_eq!(harmless("a\u{ad}b\u{115f}c\u{3164}d\u{e0041}e"), "a b c d e", "seen by nobody");
    }

    #[test]
    fn nothing_is_left_for_nomad_to_expand() {
        assert_eq!(
            harmless("${NOMAD_SECRETS_DIR} $${meta.x}"),
            "$ {NOMAD_SECRETS_DIR} $$ {meta.x}"
        );
        assert_eq!(harmless("$\u{0}{x}"), "$ {x}");
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_so() {
        let long = "ä".repeat(LONGEST);
        let shown = harmless(&long);
        assert!(shown.len() <= LONGEST && shown.ends_with("ä…"), "{shown}");
        assert_eq!(harmless_up_to("12345678", 8), "12345678");
        assert_eq!(harmless_up_to("123456789", 8), "12345…");
    }

    proptest! {
        #[test]
        fn whatever_comes_is_harmless_and_stays_so(text in ".*", longest in 4usize..400) {
            let once = harmless_up_to(&text, longest);
            let is_harmless = !once.contains("${") && !once.chars().any(moves);
            prop_assert!(is_harmless && once.len() <= longest, "{once:?}");
            prop_assert_eq!(harmless_up_to(&once, longest), once);
        }
    }
}
