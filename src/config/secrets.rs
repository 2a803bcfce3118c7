//! A secret `x` is set as `x`, as `x_file`, as `x_vault`, by another program's variable, or as a systemd
//! credential in `$CREDENTIALS_DIRECTORY`. Files are read at every load, so a reload reads new ones.
//! Where each comes from is recorded for `check`.
//!
//! No message contains a secret's value, and no value is parsed: `0123456` is kept as it is.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::environment::{SecretLookup, SystemdCredential};
use super::in_vault::{VaultField, VaultLookup, Wish};
use super::section::Section;
use super::{Environment, Origin};

/// The result of looking for a secret.
pub(super) enum Found {
    /// The secret, and the file it came from, if any.
    Secret(SecretString, Option<PathBuf>),
    /// It is not set.
    Absent,
    /// It is set, but cannot be read; the error is recorded.
    Bad,
}

impl Found {
    pub(super) fn secret(self) -> Option<SecretString> {
        match self {
            Self::Secret(secret, _) => Some(secret),
            Self::Absent | Self::Bad => None,
        }
    }
}

/// Looks for the secret `key` of a section; `credential` is its name among systemd's.
pub(super) fn find(section: &Section, key: &str, credential: Option<&str>) -> Found {
    let (file_key, vault_key) = (format!("{key}_file"), format!("{key}_vault"));
    let mut given: Vec<(&str, bool)> = [key, &file_key, &vault_key]
        .into_iter()
        .filter_map(|key| Some((key, section.given(key)?.origin().is_some())))
        .collect();
    // The environment overrides the file, also if one sets `x` and the other `x_file`.
    if given.iter().any(|(_, from_env)| *from_env) {
        given.retain(|(_, from_env)| *from_env);
    }
    match given[..] {
        [(one, _)] if one == key => said(section, key),
        [(one, _)] if one == file_key => in_named_file(section, &file_key),
        [_] => in_vault(section, key, &vault_key),
        [(one, _), (other, _), ..] => {
            section.report(key, format!("{one} and {other} are both set"), "keep one of them");
            Found::Bad
        }
        [] => {
            let env = section.context.env;
            let found = credential.and_then(|name| Some((name, of_systemd(env, name)?)));
            let first = matches!(env.lookup, SecretLookup::CredentialsFirst);
            match found {
                found if section.filled(key).is_some() && !(first && found.is_some()) => {
                    said(section, key)
                }
                Some((name, found)) => in_credential(section, key, name, found),
                None => Found::Absent,
            }
        }
    }
}

/// Whose previous value is of use too, while others still sign with it.
const SIGNING: [&str; 2] = ["secret", "webhook_secret"];

fn in_vault(section: &Section, key: &str, vault_key: &str) -> Found {
    let Some(field) = section.parsed(vault_key, VaultField::parse) else { return Found::Bad };
    section.note_secret(vault_key, Origin::Vault(field.clone()));
    let with_previous = SIGNING.contains(&key);
    section.context.wishes.borrow_mut().push(Wish { field: field.clone(), with_previous });
    let VaultLookup::Answered(secrets) = &section.context.env.vault else {
        return Found::Secret(taken_as_given(), None);
    };
    match secrets.get(&field) {
        Some(Ok(secret)) => Found::Secret(secret.value.clone(), None),
        Some(Err(why)) => {
            let fix = "correct it there or here, and see what roustabout check says about [vault]";
            section.report(vault_key, format!("cannot be read: {why}"), fix);
            Found::Bad
        }
        None => {
            let fix = "run the command again";
            section.report(vault_key, "was not asked for: the config has just changed", fix);
            Found::Bad
        }
    }
}

/// The value that `key` had in Vault before, while it is still to be accepted.
pub(super) fn previous_in_vault(section: &Section, key: &str) -> Option<SecretString> {
    let VaultLookup::Answered(secrets) = &section.context.env.vault else { return None };
    let vault_key = format!("{key}_vault");
    section.given(&vault_key)?;
    let field = VaultField::parse(&section.text(&vault_key)?).ok()?;
    secrets.get(&field)?.as_ref().ok()?.previous.clone()
}

fn in_credential(section: &Section, key: &str, name: &str, found: OfSystemd) -> Found {
    match found {
        OfSystemd::File(path) => {
            let from = Origin::Credential { name: name.to_owned(), file: path.clone() };
            section.note_secret(key, from);
            let missing = matches!(section.context.env.lookup, SecretLookup::OfUnit(_))
                && path.try_exists().is_ok_and(|there| !there);
            if missing {
                let (what, fix) = not_loaded(name, &path);
                section.report(key, what, fix);
                return Found::Bad;
            }
            read(section, key, &path)
        }
        OfSystemd::TakenAsGiven(secret) => Found::Secret(secret, None),
        OfSystemd::Unseen => {
            let (what, fix) = unseen(name);
            section.report(key, what, fix);
            Found::Bad
        }
    }
}

/// A credential that the unit loads from a file that does not exist.
pub(super) fn not_loaded(name: &str, file: &Path) -> (String, &'static str) {
    (
        format!(
            "the unit loads the credential {name} from {}, which does not exist: the service will not start (243/CREDENTIALS)",
            file.display()
        ),
        "write the secret to that file, or remove its LoadCredential line from the unit",
    )
}

/// A credential that only the service can read.
pub(super) fn unseen(name: &str) -> (String, &'static str) {
    (
        format!("the unit passes it as the credential {name}, which only systemd can read"),
        "run check within the service (systemd-run with the same properties), or run check --no-unit",
    )
}

/// A secret that is sent in an HTTP header, and so contains no spaces or line breaks.
pub(super) fn find_token(section: &Section, key: &str, credential: Option<&str>) -> Found {
    match find(section, key, credential) {
        Found::Secret(token, path) => match checked_token(token) {
            Ok(token) => Found::Secret(token, path),
            Err(what) => {
                section.report(key, what, "write only the token, on one line");
                Found::Bad
            }
        },
        other => other,
    }
}

/// A token of visible characters, or what is wrong with it.
pub(super) fn checked_token(token: SecretString) -> Result<SecretString, &'static str> {
    if token.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(token)
    } else {
        Err("contains a space, a line break or another character that no token contains")
    }
}

/// A systemd credential.
pub(super) enum OfSystemd {
    File(PathBuf),
    /// Assumed to exist; its file was not read.
    TakenAsGiven(SecretString),
    /// Only systemd can read it.
    Unseen,
}

/// Valid as any secret.
const TAKEN_AS_GIVEN: &str = "a-systemd-credential-taken-as-given";

/// In place of one that is not read.
pub(super) fn taken_as_given() -> SecretString {
    TAKEN_AS_GIVEN.into()
}

/// Whether it stands for one that was not read.
pub(super) fn is_taken_as_given(secret: &SecretString) -> bool {
    secret.expose_secret() == TAKEN_AS_GIVEN
}

/// The systemd credential of that name, if there is one.
pub(super) fn of_systemd(env: &Environment, name: &str) -> Option<OfSystemd> {
    match &env.lookup {
        SecretLookup::CredentialsTakenAsGiven => {
            return Some(OfSystemd::TakenAsGiven(TAKEN_AS_GIVEN.into()));
        }
        SecretLookup::OfUnit(credentials) => {
            return Some(match credentials.get(name)? {
                SystemdCredential::At(file) if is_empty(file) => return None,
                SystemdCredential::At(file) => OfSystemd::File(file.clone()),
                SystemdCredential::Unseen => OfSystemd::Unseen,
            });
        }
        SecretLookup::AsTheDaemon | SecretLookup::CredentialsFirst => {}
    }
    let path = Path::new(env.get("CREDENTIALS_DIRECTORY")?).join(name);
    // If we may not look, reading it reports the error.
    (path.try_exists().unwrap_or(true) && !is_empty(&path)).then_some(OfSystemd::File(path))
}

/// An empty file is how a package says that there is no such credential: a unit cannot load a file that does
/// not exist.
fn is_empty(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|found| found.is_file() && found.len() == 0)
}

fn said(section: &Section, key: &str) -> Found {
    let from = section.variable(key).map_or(Origin::Config, Origin::Variable);
    section.note_secret(key, from);
    match section.text(key) {
        Some(text) => Found::Secret(text.into(), None),
        None => Found::Bad,
    }
}

fn in_named_file(section: &Section, file_key: &str) -> Found {
    match section.path(file_key) {
        Some(path) => {
            section.note_secret(file_key, Origin::File(path.clone()));
            // A rotation ends by emptying it.
            if file_key.starts_with("previous_") && is_empty(&path) {
                return Found::Absent;
            }
            read(section, file_key, &path)
        }
        None => Found::Bad,
    }
}

fn read(section: &Section, key: &str, path: &Path) -> Found {
    if section.context.env.takes_as_given(path) {
        return Found::Secret(TAKEN_AS_GIVEN.into(), None);
    }
    match read_file(path) {
        Ok(secret) => Found::Secret(secret, Some(path.to_owned())),
        Err((what, fix)) => {
            section.report(key, what, fix);
            Found::Bad
        }
    }
}

/// What to do about a file that cannot be read. An operator needs the uid if Nomad or systemd writes the
/// file for another user.
fn unreadable(error: &std::io::Error) -> String {
    let uid = rustix::process::geteuid().as_raw();
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => format!(
            "make it readable for the current user (uid {uid}), as owner or by group, or run this as root"
        ),
        _ => "it must be a text file that the user roustabout runs as can read".to_owned(),
    }
}

/// A longer file contains no secret: keys of GitHub Apps have some kilobytes.
const LONGEST: u64 = 64 * 1024;

/// The token in a file, validated like `find_token`: for the file that the daemon itself creates.
///
/// # Errors
/// `InvalidData` if the file can be read but contains no token; the text reads after "the file".
pub(crate) fn token_in(path: &Path) -> io::Result<SecretString> {
    checked_token(in_file(path)?).map_err(|what| io::Error::new(ErrorKind::InvalidData, what))
}

/// The secret in a file; else what is wrong and how to fix it.
pub(super) fn read_file(path: &Path) -> Result<SecretString, (String, String)> {
    let shown = path.display();
    in_file(path).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => (
            format!("{shown} {error}"),
            "it must be a text file that contains only the secret".to_owned(),
        ),
        _ => (format!("cannot read {shown}: {error}"), unreadable(&error)),
    })
}

/// The secret in a file, without the newline that editors put at its end.
fn in_file(path: &Path) -> io::Result<SecretString> {
    let wrong = |what: String| io::Error::new(ErrorKind::InvalidData, what);
    let mut bytes = Vec::new();
    // Opening a pipe waits for its writer otherwise, and that may be nobody.
    let no_wait = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(no_wait).open(path)?;
    if file.metadata()?.file_type().is_fifo() {
        return Err(wrong("is a pipe, not a file".to_owned()));
    }
    file.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(wrong(format!("is longer than any secret (limit: {LONGEST} bytes)")));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8 text".to_owned()))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(wrong("is empty".to_owned()));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_with(content: &str) -> Result<String, String> {
        let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        std::fs::write(file.path(), content).expect("it is writable");
        read_file(file.path())
            .map(|secret| secret.expose_secret().to_owned())
            .map_err(|(what, _)| what)
    }

    #[test]
    fn exactly_one_newline_is_dropped() {
        assert_eq!(file_with("abc"), Ok("abc".into()));
        assert_eq!(file_with("abc\n"), Ok("abc".into()));
        assert_eq!(file_with("abc\r\n"), Ok("abc".into()));
        assert_eq!(file_with("abc\n\n"), Ok("abc\n".into()));
        assert_eq!(file_with("abc\r"), Ok("abc\r".into()));
        assert_eq!(file_with(" abc "), Ok(" abc ".into()));
    }

    #[test]
    fn nothing_is_no_secret() {
        for empty in ["", "\n", "\r\n"] {
            assert!(file_with(empty).is_err_and(|what| what.ends_with("is empty")));
        }
    }

    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("mkfifo is there").success());
        let (what, _) = read_file(&pipe).expect_err("nobody writes");
        assert!(what.ends_with("is a pipe, not a file"), "{what}");
    }

    #[test]
    fn a_file_that_is_too_long_is_refused_and_not_cut() {
        let longest = usize::try_from(LONGEST).expect("it is small");
        assert!(file_with(&"x".repeat(longest)).is_ok());
        assert!(file_with(&"x".repeat(longest + 1)).is_err_and(|what| what.contains("longer")));
    }

    #[test]
    fn a_token_is_one_word() {
        assert!(checked_token("ghp_abc".into()).is_ok());
        for wrong in ["a b", "abc\n", "ä"] {
            assert!(checked_token(wrong.into()).is_err(), "{wrong:?}");
        }
    }
}
