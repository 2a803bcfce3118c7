//! What is played: which jobs are queued where, and what each of them is to show.

/// Served, private.
pub const SERVED: [&str; 3] = ["octo/app", "octo/lib", "octo/docs"];
/// Public, which no pool here allows.
pub const PUBLIC: &str = "octo/site";

pub const LABELS: [&str; 3] = ["self-hosted", "linux", "x64"];
/// Of the pool whose Nomad job wants more memory than any node has.
pub const HUGE_LABELS: [&str; 3] = ["self-hosted", "linux", "huge"];
/// MB.
pub const HUGE_MEMORY: u64 = 4_000_000;

/// Of the pool that runs the jobs: small, so that jobs are seen to wait.
pub const PLACES: usize = 4;

/// A job to be queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub repository: &'static str,
    pub name: String,
    pub labels: [&'static str; 3],
    pub millis: i64,
    pub shows: Shows,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// It runs.
    TheWay,
    /// It gets no runner, and it is said why.
    ARefusal,
    /// Nomad has no room for its runner, and it is said why; then somebody cancels it.
    AWait,
}

/// So many jobs that run, and the two that do not. Those of one repository are one run.
pub fn parts(jobs: usize) -> Vec<Part> {
    let (second, third) = (jobs / 3, jobs / 6);
    let first = jobs - second - third;
    let mut parts = Vec::new();
    for (repository, count, name) in [
        (SERVED[0], first, matrix as fn(usize) -> String),
        (SERVED[1], second, |n| format!("test ({})", n + 1)),
        (SERVED[2], third, |n| format!("pages ({})", n + 1)),
    ] {
        parts.extend((0..count).map(|n| Part {
            repository,
            name: name(n),
            labels: LABELS,
            // Of unlike length, 1 to 2.4 s.
            millis: 1_000 + i64::try_from((n + 1) * 370 % 1_500).unwrap_or(0),
            shows: Shows::TheWay,
        }));
    }
    let special = |repository, name: &str, labels, shows| Part {
        repository,
        name: name.to_owned(),
        labels,
        millis: 1_000,
        shows,
    };
    parts.push(special(SERVED[1], "train", HUGE_LABELS, Shows::AWait));
    parts.push(special(PUBLIC, "build", LABELS, Shows::ARefusal));
    parts
}

/// Job names as a matrix of two dimensions makes them.
fn matrix(n: usize) -> String {
    const TOOLCHAINS: [&str; 3] = ["stable", "beta", "nightly"];
    const PROFILES: [&str; 2] = ["debug", "release"];
    let (toolchain, profile) = (TOOLCHAINS[n / 2 % 3], PROFILES[n % 2]);
    match n / 6 {
        0 => format!("build ({toolchain}, {profile})"),
        shard => format!("build ({toolchain}, {profile}, {})", shard + 1),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn so_many_run_and_no_two_have_one_name() {
        for jobs in [1, 3, 12, 64] {
            let parts = parts(jobs);
            let run = parts.iter().filter(|part| part.shows == Shows::TheWay).count();
            assert_eq!((run, parts.len()), (jobs, jobs + 2));
            let names: BTreeSet<_> = parts.iter().map(|it| (it.repository, &it.name)).collect();
            assert_eq!(names.len(), parts.len());
        }
    }
}
