//! Who may listen to which events. A listener who may not is not told so: the stream is open, silent,
//! and ended after a while.
//!
//! It is asked before every line, so a listener whose token expires, is deleted, or loses its policy
//! hears nothing from then on. Rules: nomad/stream/event_broker.go, the record (`acl-streams`), [V].
//! Read next: `stream.rs`, `rights.rs`.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::call::Call;
use super::rights;
use crate::acl::{Caller, Capability};
use crate::http::Server;
use crate::model::Nomad;

/// Between these a stream is ended that has no right to any event [V].
const SILENCE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(40));

/// What somebody listens to.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    /// `*` is all that there are.
    pub namespace: String,
    /// Without keys; empty is all.
    pub topics: Vec<String>,
}

impl Wish {
    pub fn of(call: &Call) -> Self {
        let topic = |text: &str| text.split(':').next().map(str::to_owned);
        Self {
            namespace: call.query.said("namespace").unwrap_or("default").to_owned(),
            topics: call.query.all("topic").filter_map(topic).collect(),
        }
    }

    /// Whether all of it may be heard by whoever asks, now.
    pub fn may_be_heard(&self, call: &Call) -> bool {
        call.server.view(|view, now| {
            let caller = rights::caller(call, view.nomad, now);
            caller.is_ok_and(|caller| self.allowed(&caller, view.nomad))
        })
    }

    fn allowed(&self, caller: &Caller, nomad: &Nomad) -> bool {
        if caller.is_management() {
            return true;
        }
        let namespaces: Vec<&str> = match self.namespace.as_str() {
            "*" => nomad.namespaces().map(|one| one.name.as_str()).collect(),
            one => vec![one],
        };
        let everywhere = |capability| namespaces.iter().all(|one| caller.may(one, &[capability]));
        !self.topics.is_empty()
            && self.topics.iter().all(|topic| match topic.as_str() {
                "Job" | "Allocation" | "Evaluation" | "Deployment" | "Service" => {
                    everywhere(Capability::ReadJob)
                }
                "HostVolume" => everywhere(Capability::HostVolumeRead),
                "CSIVolume" => everywhere(Capability::CsiReadVolume),
                "Node" | "NodePool" => caller.may_read_nodes(),
                // Tokens, policies, operators' things; and everything.
                _ => false,
            })
    }
}

/// Says nothing to a listener without the right, and then no more than that.
pub(super) async fn be_silent(server: &Server, lines: &mpsc::Sender<Bytes>) {
    let (least, most) = SILENCE;
    let long = least + (most - least).mul_f64(server.draw());
    // Ends early when the listener goes.
    let _ = tokio::time::timeout(long, lines.closed()).await;
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::acl::grants::Grants;
    use crate::acl::rules::Rules;

    fn may(rules: &str, namespace: &str, topics: &[&str]) -> bool {
        let mut nomad = Nomad::new(StdRng::seed_from_u64(1));
        nomad.set_namespace("ci", "", serde_json::Map::new()).unwrap();
        let grants = Grants::of(&[Rules::parse(rules).unwrap()]);
        let caller = Caller::Client { accessor: String::new(), grants };
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        Wish { namespace: namespace.to_owned(), topics }.allowed(&caller, &nomad)
    }

    #[test]
    fn all_of_a_wish_must_be_allowed() {
        let reads = "namespace \"default\" { capabilities = [\"read-job\"] }";
        assert!(may(reads, "default", &["Job", "Allocation"]));
        assert!(!may(reads, "default", &["Job", "Node"]));
        assert!(!may(reads, "default", &["*"]));
        assert!(!may(reads, "default", &[]));
        assert!(!may(reads, "ci", &["Job"]));
        assert!(!may(reads, "*", &["Job"]));
        assert!(may("namespace \"*\" { policy = \"read\" }", "*", &["Job"]));
        assert!(may("node { policy = \"read\" }", "default", &["Node"]));
    }
}
