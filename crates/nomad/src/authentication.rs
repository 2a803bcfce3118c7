//! The words by which Nomad says that it does not take a token. Several calls give them with a
//! 500, or with a 404, so the status alone does not tell them from an agent that is away.
//!
//! An agent authenticates before it acts (Nomad `command/agent/http.go`, `authMiddleware`, and
//! `nomad/auth/auth.go`), so a call that was answered so has changed nothing. `error` and
//! `refusal` ask here.

/// Nomad 1.11.3 sent each of these, see the scenarios `acl-without-a-good-token`,
/// `workload-identity` and `workload-identity-expired` of the record.
const WORDS: [&str; 9] = [
    "Permission denied",
    // `ACL token not found`, `ACL token expired`, `… or invalid workload identity: …`.
    "ACL token",
    // A token that is no UUID is taken for a workload identity.
    "failed to parse signed token",
    "missing key ID header",
    "invalid signature",
    "invalid claims",
    "token is expired",
    "allocation is terminal",
    // On a task's socket, of a token that is expired, spoilt or of another cluster.
    SOCKET,
];

/// What a task's socket answers. It says the same where the agent cannot reach a server to ask.
const SOCKET: &str = "Server error authenticating request";

/// Whether an answer that is no success is about the token.
pub(super) fn is_refused(status: u16, text: &str) -> bool {
    matches!(status, 401 | 403)
        || (matches!(status, 404 | 500..=599) && WORDS.iter().any(|words| text.contains(words)))
}

/// Nomad's text, with what it leaves out.
pub(super) fn in_words(text: String) -> String {
    match text.contains(SOCKET) {
        true => format!(
            "{text} (the token is expired, damaged or of another cluster, or the agent has lost \
             its servers)"
        ),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Refusal};

    /// Status, text and the call that was answered so.
    fn recorded() -> Vec<(u16, String, String)> {
        let record = include_str!("../../simulated-nomad/tests/conformance/recorded-1.11.3.json");
        let record: serde_json::Value = serde_json::from_str(record).unwrap();
        let about = ["acl-without-a-good-token", "workload-identity", "workload-identity-expired"];
        let scenarios = record["scenarios"].as_array().unwrap().iter();
        let scenarios = scenarios.filter(|it| about.contains(&it["name"].as_str().unwrap()));
        let mut all = Vec::new();
        for step in scenarios.flat_map(|scenario| scenario["steps"].as_array().unwrap()) {
            let call = format!("{} {}", step["request"]["method"], step["request"]["path"]);
            let answers = step["answers"].as_array().into_iter().flatten();
            for answer in answers.chain(step.get("response")) {
                let (status, text) = (&answer["status"], &answer["text"]);
                if let (Some(status), Some(text)) = (status.as_u64(), text.as_str()) {
                    all.push((
                        u16::try_from(status).unwrap(),
                        text.trim().to_owned(),
                        call.clone(),
                    ));
                }
            }
        }
        all
    }

    #[test]
    fn every_answer_of_a_real_nomad_to_a_bad_token_is_known() {
        let mut seen = 0;
        for (status, text, call) in recorded() {
            // What is asked of, and not who asks.
            let others = ["allocation \"", "No path to region", "job not found", "unpermitted"];
            if status != 500 || others.iter().any(|other| text.contains(other)) {
                continue;
            }
            seen += 1;
            let error = Error::from_status(call.clone(), status, text.clone());
            assert!(matches!(error, Error::Forbidden { .. }), "{call}: {text}: {error:?}");
        }
        assert!(seen >= 10, "{seen} answers were looked at");
    }

    #[test]
    fn a_dispatch_that_is_answered_so_has_made_nothing() {
        for text in WORDS {
            let refusal = Refusal::read(500, text, "gha", "ci");
            assert!(matches!(refusal, Some(Refusal::Forbidden { .. })), "{text}: {refusal:?}");
        }
    }

    #[test]
    fn trouble_of_the_cluster_is_not_about_the_token() {
        for text in ["No cluster leader", "No path to region", "leadership lost", ""] {
            assert!(!is_refused(500, text), "{text}");
        }
        assert!(!is_refused(404, "job not found"));
        assert!(!is_refused(400, "ACL token"));
    }

    #[test]
    fn a_sockets_answer_is_explained() {
        let error = Error::from_status("GET /v1/status/leader".into(), 500, SOCKET.into());
        assert!(error.to_string().contains("expired, damaged or of another cluster"), "{error}");
    }
}
