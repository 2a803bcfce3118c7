//! Why Nomad said no to a dispatch, and what to mend: each reason is one sentence.
//!
//! Nomad sends validation errors as plain text with status 500, so they are known by their words
//! (Nomad `nomad/job_endpoint.go` `Job.Dispatch`, `validateDispatchRequest`,
//! `nomad/structs/errors.go`). In all of these cases nothing was made.

use std::fmt;

use super::authentication;

/// A dispatch that Nomad refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    NoSuchJob {
        job: String,
        namespace: String,
    },
    NotParameterized {
        job: String,
    },
    Stopped {
        job: String,
    },
    /// Required keys that the dispatch lacks.
    MissingMeta {
        job: String,
        keys: Vec<String>,
    },
    /// Keys of the dispatch that the job does not declare.
    UnpermittedMeta {
        job: String,
        keys: Vec<String>,
    },
    PayloadRequired {
        job: String,
    },
    PayloadForbidden {
        job: String,
    },
    /// Over 16 384 bytes.
    PayloadTooLarge,
    /// Token missing, unknown, expired, or without the capability; Nomad does not say which.
    Forbidden {
        namespace: String,
    },
    /// The operator's load-shedding (`RejectJobRegistration`, Nomad 1.2.4).
    DispatchDisabled,
    NoSuchRegion,
    /// `limits.http_max_conns_per_client` of the agent, 100 unless set.
    TooManyConnections,
    /// Nomad takes the request itself for wrong (4xx).
    BadRequest {
        status: u16,
    },
}

impl Refusal {
    /// It goes by itself; every other refusal waits for somebody to mend something.
    pub fn is_passing(&self) -> bool {
        matches!(self, Refusal::DispatchDisabled | Refusal::TooManyConnections)
    }

    /// What this dispatch carries is too much; another of the same job may be fine.
    pub fn is_about_size(&self) -> bool {
        matches!(self, Refusal::PayloadTooLarge | Refusal::BadRequest { status: 413 })
    }

    /// None: this answer does not say that nothing was made.
    pub(super) fn read(status: u16, text: &str, job: &str, namespace: &str) -> Option<Refusal> {
        let job = || job.to_owned();
        let namespace = || namespace.to_owned();
        let is_specified_job = |what: &str| text.contains("Specified job") && text.ends_with(what);
        Some(if text.contains("parameterized job not found") {
            Refusal::NoSuchJob { job: job(), namespace: namespace() }
        } else if is_specified_job("is not a parameterized job") {
            Refusal::NotParameterized { job: job() }
        } else if is_specified_job("is stopped") {
            Refusal::Stopped { job: job() }
        } else if text.contains("did not provide required meta keys") {
            Refusal::MissingMeta { job: job(), keys: keys(text) }
        } else if text.contains("included unpermitted metadata keys") {
            Refusal::UnpermittedMeta { job: job(), keys: keys(text) }
        } else if text.contains("Payload is not provided but required") {
            Refusal::PayloadRequired { job: job() }
        } else if text.contains("Payload provided but forbidden") {
            Refusal::PayloadForbidden { job: job() }
        } else if text.contains("Payload exceeds maximum size") {
            Refusal::PayloadTooLarge
        } else if text.contains("dispatch, and scale are disabled") {
            Refusal::DispatchDisabled
        } else if text.contains("No path to region") {
            Refusal::NoSuchRegion
        } else if authentication::is_refused(status, text) {
            Refusal::Forbidden { namespace: namespace() }
        } else if status == 429 {
            Refusal::TooManyConnections
        } else if (300..500).contains(&status) {
            Refusal::BadRequest { status }
        } else {
            return None;
        })
    }
}

/// The words between Go's brackets, as in `[a b]`.
fn keys(text: &str) -> Vec<String> {
    let inside = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    inside.map_or_else(Vec::new, |(list, _)| list.split_whitespace().map(str::to_owned).collect())
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoSuchJob { job, namespace } => write!(
                f,
                "the parameterized job {job:?} does not exist in namespace {namespace:?}; register \
                 it (nomad job run …), or name another job or namespace"
            ),
            Refusal::NotParameterized { job } => {
                write!(f, "the job {job:?} is not parameterized; give it a parameterized block")
            }
            Refusal::Stopped { job } => write!(
                f,
                "the parameterized job {job:?} is stopped; register it again (nomad job run …)"
            ),
            Refusal::MissingMeta { job, keys } => write!(
                f,
                "the parameterized job {job:?} requires meta that the dispatch does not give ({}); \
                 give it, or move it to the job's meta_optional",
                keys.join(", ")
            ),
            Refusal::UnpermittedMeta { job, keys } => write!(
                f,
                "the dispatch gives meta that the parameterized job {job:?} does not declare ({}); \
                 add it to the job's meta_optional, or do not give it",
                keys.join(", ")
            ),
            Refusal::PayloadRequired { job } => write!(
                f,
                "the parameterized job {job:?} requires a payload and the dispatch has none; give \
                 one, or set payload = \"optional\" in the job"
            ),
            Refusal::PayloadForbidden { job } => write!(
                f,
                "the parameterized job {job:?} forbids a payload and the dispatch has one; set \
                 payload = \"optional\" in the job, or give none"
            ),
            Refusal::PayloadTooLarge => f.write_str(
                "the payload is over Nomad's limit of 16384 bytes; hand it over another way",
            ),
            Refusal::Forbidden { namespace } => write!(
                f,
                "the ACL token may not dispatch in namespace {namespace:?}: it is missing, expired, \
                 of another cluster, or lacks the capability dispatch-job; renew it or correct its policy"
            ),
            Refusal::DispatchDisabled => f.write_str(
                "dispatching is disabled by the scheduler configuration; an operator can enable it \
                 (nomad operator scheduler set-config -reject-job-registration=false)",
            ),
            Refusal::NoSuchRegion => {
                f.write_str("Nomad has no path to the region; use another region, or federate it")
            }
            Refusal::TooManyConnections => f.write_str(
                "the agent refuses more connections from this address; wait, or raise its \
                 limits.http_max_conns_per_client",
            ),
            Refusal::BadRequest { status } => write!(
                f,
                "unexpected response to the dispatch: {status}; is [nomad] address a Nomad agent?"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, text: &str) -> Option<Refusal> {
        Refusal::read(status, text, "gha", "ci")
    }

    #[test]
    fn every_text_of_nomad_is_known() {
        let job = || "gha".to_owned();
        for (status, text, refusal) in [
            (
                500,
                "parameterized job not found",
                Refusal::NoSuchJob { job: job(), namespace: "ci".into() },
            ),
            (
                500,
                "Specified job \"gha\" is not a parameterized job",
                Refusal::NotParameterized { job: job() },
            ),
            (500, "Specified job \"gha\" is stopped", Refusal::Stopped { job: job() }),
            (
                500,
                "Dispatch did not provide required meta keys: [a b]",
                Refusal::MissingMeta { job: job(), keys: vec!["a".into(), "b".into()] },
            ),
            (
                500,
                "Dispatch request included unpermitted metadata keys: [c]",
                Refusal::UnpermittedMeta { job: job(), keys: vec!["c".into()] },
            ),
            (
                500,
                "Payload is not provided but required by parameterized job",
                Refusal::PayloadRequired { job: job() },
            ),
            (
                500,
                "Payload provided but forbidden by parameterized job",
                Refusal::PayloadForbidden { job: job() },
            ),
            (500, "Payload exceeds maximum size; 20000 > 16384", Refusal::PayloadTooLarge),
            (403, "Permission denied", Refusal::Forbidden { namespace: "ci".into() }),
            (403, "ACL token not found", Refusal::Forbidden { namespace: "ci".into() }),
            (500, "ACL token expired", Refusal::Forbidden { namespace: "ci".into() }),
            (401, "Unauthorized", Refusal::Forbidden { namespace: "ci".into() }),
            (
                403,
                "Job registration, dispatch, and scale are disabled by the scheduler configuration",
                Refusal::DispatchDisabled,
            ),
            (500, "No path to region", Refusal::NoSuchRegion),
            (
                429,
                "Your IP is issuing too many concurrent connections",
                Refusal::TooManyConnections,
            ),
            (400, "Request body is empty", Refusal::BadRequest { status: 400 }),
            (405, "Invalid method", Refusal::BadRequest { status: 405 }),
        ] {
            assert_eq!(read(status, text), Some(refusal), "{text}");
        }
    }

    #[test]
    fn what_may_have_acted_is_no_refusal() {
        for text in [
            "No cluster leader",
            "Not ready to serve consistent reads",
            "leadership lost while committing log",
            "",
        ] {
            assert_eq!(read(500, text), None);
            assert_eq!(read(502, text), None);
        }
    }

    #[test]
    fn the_sentence_says_what_to_mend() {
        let refusal = read(500, "Dispatch did not provide required meta keys: [a b]").unwrap();
        assert_eq!(
            refusal.to_string(),
            "the parameterized job \"gha\" requires meta that the dispatch does not give (a, b); \
             give it, or move it to the job's meta_optional"
        );
        assert!(!refusal.is_passing());
        assert!(Refusal::DispatchDisabled.is_passing());
        assert!(!refusal.is_about_size());
        assert!(read(500, "Payload exceeds maximum size; 20000 > 16384").unwrap().is_about_size());
        assert!(read(413, "request body too large").unwrap().is_about_size());
    }
}
