//! `[report]` and `[pools.report]`: whose included minutes and which GitHub-hosted runner the report compares
//! with. The prices are in `report::prices`.

use super::section::Section;
use super::suggest::nearest;

/// `[report]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    pub plan: Plan,
    pub compare_with: HostedRunner,
}

/// The plan of the account that owns the repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    Free,
    Pro,
    Team,
    Enterprise,
}

/// A GitHub-hosted runner, by the name on GitHub's bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostedRunner(&'static str);

/// Those that GitHub has: standard runners first, then larger ones.
pub const HOSTED_RUNNERS: [&str; 33] = [
    "linux_slim",
    "linux",
    "windows",
    "macos",
    "linux_2_core_advanced",
    "linux_4_core",
    "linux_8_core",
    "linux_16_core",
    "linux_32_core",
    "linux_64_core",
    "linux_96_core",
    "windows_4_core",
    "windows_8_core",
    "windows_16_core",
    "windows_32_core",
    "windows_64_core",
    "windows_96_core",
    "macos_l",
    "linux_2_core_arm",
    "linux_4_core_arm",
    "linux_8_core_arm",
    "linux_16_core_arm",
    "linux_32_core_arm",
    "linux_64_core_arm",
    "windows_2_core_arm",
    "windows_4_core_arm",
    "windows_8_core_arm",
    "windows_16_core_arm",
    "windows_32_core_arm",
    "windows_64_core_arm",
    "macos_xl",
    "linux_4_core_gpu",
    "windows_4_core_gpu",
];

impl HostedRunner {
    pub fn named(name: &str) -> Option<Self> {
        HOSTED_RUNNERS.iter().find(|known| **known == name).map(|known| Self(known))
    }

    pub fn as_str(self) -> &'static str {
        self.0
    }
}

pub(super) fn read(section: &Section) -> Option<Report> {
    let plans = [
        ("free", Plan::Free),
        ("pro", Plan::Pro),
        ("team", Plan::Team),
        ("enterprise", Plan::Enterprise),
    ];
    let plan = section.choice("plan", &plans);
    let compare_with = compare_with(section);
    Some(Report { plan: plan?, compare_with: compare_with? })
}

/// Also that of a pool, which has no default.
pub(super) fn compare_with(section: &Section) -> Option<HostedRunner> {
    const KEY: &str = "compare_with";
    let name = section.text(KEY)?;
    let known = HostedRunner::named(&name);
    if known.is_none() {
        let fix = match nearest(&name, HOSTED_RUNNERS) {
            Some(near) => format!("did you mean {near:?}?"),
            None => "use \"linux\", \"windows\", \"macos\", or a larger runner by its billing SKU, such as \"linux_4_core\"".to_owned(),
        };
        section.report(KEY, format!("{name:?} is not a GitHub-hosted runner"), fix);
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{errors, loaded, pool_with};

    #[test]
    fn a_free_account_and_a_standard_linux_runner_if_nothing_is_said() {
        let settings = loaded("").settings;
        assert_eq!(settings.report.plan, Plan::Free);
        assert_eq!(settings.report.compare_with.as_str(), "linux");
        assert_eq!(settings.pools[0].compare_with, None);
    }

    #[test]
    fn a_pool_may_be_compared_with_another_runner() {
        let text = "[report]\nplan = \"team\"\ncompare_with = \"windows\"\n".to_owned()
            + &pool_with("[pools.report]\ncompare_with = \"linux_4_core_arm\"");
        let settings = loaded(&text).settings;
        assert_eq!(settings.report.plan, Plan::Team);
        let of_pool = settings.pools[0].compare_with.map(HostedRunner::as_str);
        assert_eq!(
            (settings.report.compare_with.as_str(), of_pool),
            ("windows", Some("linux_4_core_arm"))
        );
    }

    #[test]
    fn what_github_does_not_have_is_refused() {
        let told = errors("[report]\nplan = \"gold\"\ncompare_with = \"linus\"\n");
        assert!(told.contains("report.plan: \"gold\" is not a valid value"), "{told}");
        let near =
            "report.compare_with: \"linus\" is not a GitHub-hosted runner; did you mean \"linux\"?";
        assert!(told.contains(near), "{told}");
        let told = errors(&pool_with("[pools.report]\ncompare_with = \"a quantum computer\""));
        assert!(told.contains("pools[x64].report.compare_with: "), "{told}");
        assert!(told.contains("such as \"linux_4_core\""), "{told}");
    }
}
