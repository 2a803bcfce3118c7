//! Every endpoint of Nomad's that the client calls, with its method and path.
//!
//! A call cannot be made but through one of these, and each has to be in the record of a real
//! Nomad, so that no call is made whose answers nobody has looked at. Read next: `transport`.

use reqwest::Method;

#[derive(Clone, Copy, Debug)]
pub(super) enum Endpoint<'a> {
    Leader,
    Agent,
    OwnToken,
    Events,
    Nodes,
    Node(&'a str),
    Jobs,
    Register,
    Parse,
    Statuses,
    Job(&'a str),
    Deregister(&'a str),
    Dispatch(&'a str),
    Allocations(&'a str),
    Evaluations(&'a str),
    Allocation(&'a str),
    Variables,
    /// Its path, which may hold slashes.
    PutVariable(&'a str),
    DeleteVariable(&'a str),
    SigningKeys,
}

impl<'a> Endpoint<'a> {
    pub fn method(self) -> Method {
        match self {
            Self::Leader
            | Self::Agent
            | Self::OwnToken
            | Self::Events
            | Self::Nodes
            | Self::Node(_)
            | Self::Jobs
            | Self::Job(_)
            | Self::Allocations(_)
            | Self::Evaluations(_)
            | Self::Allocation(_)
            | Self::Variables
            | Self::SigningKeys => Method::GET,
            Self::Parse | Self::Statuses => Method::POST,
            Self::Register | Self::Dispatch(_) | Self::PutVariable(_) => Method::PUT,
            Self::Deregister(_) | Self::DeleteVariable(_) => Method::DELETE,
        }
    }

    /// What the path begins with.
    pub fn root(self) -> &'static str {
        match self {
            Self::SigningKeys => ".well-known",
            _ => "v1",
        }
    }

    /// What follows that, to be percent-encoded one by one, for job ids hold slashes.
    pub fn segments(self) -> Vec<&'a str> {
        match self {
            Self::Leader => vec!["status", "leader"],
            Self::Agent => vec!["agent", "self"],
            Self::OwnToken => vec!["acl", "token", "self"],
            Self::Events => vec!["event", "stream"],
            Self::Nodes => vec!["nodes"],
            Self::Node(id) => vec!["node", id],
            Self::Jobs | Self::Register => vec!["jobs"],
            Self::Parse => vec!["jobs", "parse"],
            Self::Statuses => vec!["jobs", "statuses"],
            Self::Job(id) | Self::Deregister(id) => vec!["job", id],
            Self::Dispatch(id) => vec!["job", id, "dispatch"],
            Self::Allocations(id) => vec!["job", id, "allocations"],
            Self::Evaluations(id) => vec!["job", id, "evaluations"],
            Self::Allocation(id) => vec!["allocation", id],
            Self::Variables => vec!["vars"],
            Self::PutVariable(path) | Self::DeleteVariable(path) => {
                ["var"].into_iter().chain(path.split('/')).collect()
            }
            Self::SigningKeys => vec!["jwks.json"],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const RECORD: &str =
        include_str!("../../simulated-nomad/tests/conformance/recorded-1.11.3.json");

    /// `PUT v1 job * dispatch`, of what was sent to a real Nomad.
    fn recorded() -> BTreeSet<String> {
        let record: serde_json::Value = serde_json::from_str(RECORD).unwrap();
        let scenarios = record["scenarios"].as_array().unwrap().iter();
        let steps = scenarios.flat_map(|scenario| scenario["steps"].as_array().unwrap());
        let calls = steps.filter_map(|step| {
            let request = &step["request"];
            let path = request["path"].as_str()?.split('?').next()?.strip_prefix('/')?;
            let mut segments: Vec<&str> = path.split('/').collect();
            if matches!(segments[..], [_, "job" | "allocation" | "node", _, ..]) {
                segments[2] = "*";
            }
            Some(format!("{} {}", request["method"].as_str()?, segments.join(" ")))
        });
        calls.collect()
    }

    #[test]
    fn every_call_is_in_the_record_of_a_real_nomad() {
        use Endpoint::*;
        let every = [
            Leader,
            Agent,
            OwnToken,
            Events,
            Nodes,
            Node("*"),
            Jobs,
            Register,
            Parse,
            Statuses,
            Job("*"),
            Deregister("*"),
            Dispatch("*"),
            Allocations("*"),
            Evaluations("*"),
            Allocation("*"),
            Variables,
            PutVariable("ghr/runner-1"),
            DeleteVariable("ghr/runner-1"),
            SigningKeys,
        ];
        let recorded = recorded();
        for endpoint in every {
            // Who adds an endpoint is stopped here, and adds it above as well.
            match endpoint {
                Leader | Agent | OwnToken | Events | Nodes | Node(_) | Jobs | Register | Parse
                | Statuses | Job(_) | Deregister(_) | Dispatch(_) | Allocations(_)
                | Evaluations(_) | Allocation(_) | Variables | PutVariable(_)
                | DeleteVariable(_) | SigningKeys => {}
            }
            let segments = endpoint.segments().join(" ");
            let call = format!("{} {} {segments}", endpoint.method(), endpoint.root());
            assert!(recorded.contains(&call), "{call} was never asked of a real Nomad");
        }
    }
}
