//! The parts of a JWT: base64 for URLs, without padding; what is broken is said as Go says it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// # Errors
/// With the place of what is wrong.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, String> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| {
        let strange =
            text.bytes().position(|it| !(it.is_ascii_alphanumeric() || b"-_".contains(&it)));
        // Otherwise it is the last group that is too short, or has bits too many.
        let at = strange.unwrap_or((text.len().saturating_sub(1) / 4) * 4);
        format!("illegal base64 data at input byte {at}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_broken_is_told_with_its_place() {
        let at = |text| decode(text).unwrap_err().rsplit(' ').next().map(str::to_owned).unwrap();
        assert_eq!(at("x"), "0");
        assert_eq!(at("abcdx"), "4");
        assert_eq!(at("ab+d"), "2");
        assert_eq!(decode(&encode(b"a?>")).unwrap(), b"a?>");
    }
}
