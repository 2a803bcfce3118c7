//! Runs `check` and reads what it found.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::daemon::roustabout;

/// What `check --json` said.
pub struct Checked {
    pub code: Option<i32>,
    pub findings: Vec<Finding>,
    pub failed: bool,
    /// All of it, standard error too.
    pub said: String,
}

#[derive(Debug, Clone)]
pub struct Finding {
    pub level: String,
    pub subject: String,
    pub message: String,
    pub mend: Option<String>,
}

pub fn command(config: &Path) -> Command {
    let mut command = roustabout();
    command.arg("check").arg("--config").arg(config).arg("--json");
    command
}

/// Off the runtime's threads, for what it asks may be served by them.
pub async fn check(config: &Path) -> Checked {
    let mut command = command(config);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    read(&output)
}

pub fn read(output: &Output) -> Checked {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    let said: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("no JSON: {out}{err}"));
    let string = |value: &Value| value.as_str().map(str::to_owned);
    let findings = said["findings"].as_array().unwrap().iter().map(|finding| Finding {
        level: string(&finding["level"]).unwrap(),
        subject: string(&finding["subject"]).unwrap(),
        message: string(&finding["message"]).unwrap(),
        mend: string(&finding["mend"]),
    });
    Checked {
        code: output.status.code(),
        findings: findings.collect(),
        failed: said["failed"].as_bool().unwrap(),
        said: out + &err,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

impl Checked {
    /// Exit code and findings agree, and each trouble has a mend.
    pub fn is_consistent(&self) {
        let fails = self.findings.iter().any(|finding| finding.level == "fail");
        assert_eq!(self.failed, fails);
        assert_eq!(self.code, Some(i32::from(fails)), "{:#?}", self.findings);
        for finding in &self.findings {
            assert_eq!(finding.mend.is_some(), finding.level != "ok", "{finding:?}");
        }
    }

    /// There is a finding of that level and subject with these texts.
    #[track_caller]
    pub fn found(&self, level: &str, subject: &str, message: &str, mend: &str) {
        let hit = self.findings.iter().any(|finding| {
            finding.level == level
                && finding.subject == subject
                && finding.message.contains(message)
                && finding.mend.as_deref().unwrap_or_default().contains(mend)
        });
        assert!(hit, "no {level} {subject}: {message}; {mend}\nin {:#?}", self.findings);
    }

    /// These and no other subjects have failures.
    #[track_caller]
    pub fn fails_only(&self, subjects: &[&str]) {
        self.is_consistent();
        let mut failed: Vec<&str> = self
            .findings
            .iter()
            .filter(|finding| finding.level == "fail")
            .map(|finding| finding.subject.as_str())
            .collect();
        failed.dedup();
        assert_eq!(failed, subjects, "{:#?}", self.findings);
    }
}
