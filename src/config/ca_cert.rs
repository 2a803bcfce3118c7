//! `ca_cert_file` of a section: whose certificates are trusted there. It is looked into here, so that a
//! file without a certificate is told with its key, and a reload reads it again.

use std::path::PathBuf;

use super::section::Section;

const KEY: &str = "ca_cert_file";

/// The file and what is in it; no content, where the file is only taken to exist.
pub(super) fn read(section: &Section) -> Option<(PathBuf, Option<Vec<u8>>)> {
    let path = section.path(KEY)?;
    if section.context.env.takes_as_given(&path) {
        return Some((path, None));
    }
    match std::fs::read(&path) {
        Ok(pem) if transport::certificates(&pem).is_some() => Some((path, Some(pem))),
        Ok(_) => {
            section.report(
                KEY,
                format!("{} contains no certificate in PEM form", path.display()),
                "use the certificate of the authority (-----BEGIN CERTIFICATE-----), not a key",
            );
            None
        }
        Err(error) => {
            section.report(
                KEY,
                format!("cannot read {}: {error}", path.display()),
                "it must be a file that the user roustabout runs as can read",
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::errors;

    #[test]
    fn a_file_without_a_certificate_is_told_with_its_key() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        std::fs::write(file.path(), simulated::app_key()).expect("it is writable");
        for section in ["github", "nomad", "vault"] {
            let told = errors(&format!("[{section}]\nca_cert_file = {:?}\n", file.path()));
            assert!(told.contains(&format!("{section}.ca_cert_file: /")), "{told}");
            assert!(told.contains("contains no certificate in PEM form; use the"), "{told}");
        }
    }
}
