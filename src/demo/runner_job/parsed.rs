//! The shipped jobspec as Nomad parses it, for the stand-in for Nomad, which reads no HCL.
//!
//! A test holds it to the jobspec's text, with the real parser.

use serde_json::Value;

use super::common;

/// Its JSON, with [`PLACEHOLDERS`] in it.
pub const PARSED: &str = include_str!("runner-raw-exec.json");

/// What the jobspec is registered with.
#[derive(Debug, Clone, Copy)]
pub struct Variables<'a> {
    pub job: &'a str,
    pub namespace: &'a str,
    pub arch: &'a str,
    pub archive: &'a str,
    /// `sha256:HEX`.
    pub checksum: &'a str,
    /// MB of the runner's task.
    pub memory: u64,
}

/// In [`PARSED`] these stand for what they are called, and this number for the memory.
pub const PLACEHOLDERS: Variables<'_> = Variables {
    job: "@job@",
    namespace: "@namespace@",
    arch: "@arch@",
    archive: "@archive@",
    checksum: "@checksum@",
    memory: 987_654_321,
};

impl Variables<'_> {
    /// The text of a variables file.
    #[must_use]
    pub fn file(&self) -> String {
        let Self { job, namespace, arch, archive, checksum, memory } = self;
        let common = common(job, namespace, arch, *memory);
        // As root, for the agent may be.
        format!(
            "{common}runner_archive = {archive:?}\nrunner_checksum = {checksum:?}\n\
             run_as_root = true\n"
        )
    }

    /// [`PARSED`] with these in it.
    pub(super) fn parsed(&self) -> Value {
        let text = |it: &str| it.replace(['"', '\\'], "");
        let text = PARSED
            .replace(PLACEHOLDERS.job, &text(self.job))
            .replace(PLACEHOLDERS.namespace, &text(self.namespace))
            .replace(PLACEHOLDERS.arch, &text(self.arch))
            .replace(PLACEHOLDERS.archive, &text(self.archive))
            .replace(PLACEHOLDERS.checksum, &text(self.checksum))
            .replace(&PLACEHOLDERS.memory.to_string(), &self.memory.to_string());
        serde_json::from_str(&text).expect("a test reads it, and no quote was put in")
    }
}
