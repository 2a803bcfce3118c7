//! Why the scheduler did not place a job, in its own figures and in words.
//!
//! A job that waits for room has an evaluation with status `complete` that names a blocked one
//! and tells the failure (Nomad `nomad/structs/structs.go`, `Evaluation`, `AllocMetric`).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::connection::Place;
use super::endpoint::Endpoint;
use super::error::Error;
use super::transport::{Call, Client};
use super::wire::{self, Map};

/// One look of the scheduler at a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    pub id: String,
    /// `pending`, `complete`, `blocked`, `failed` or `canceled`.
    pub status: String,
    pub status_description: String,
    pub triggered_by: String,
    /// The evaluation that waits for room.
    pub blocked_eval: Option<String>,
    /// By task group; empty when all were placed.
    pub failed_tg_allocs: BTreeMap<String, PlacementFailure>,
    pub create_time: Timestamp,
}

/// Why one task group found no node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlacementFailure {
    /// Nodes that were looked at: ready, eligible, and in the job's pool and datacenters.
    pub nodes_evaluated: u64,
    /// Of these, nodes that the job does not want.
    pub nodes_filtered: u64,
    /// Of these, nodes without room.
    pub nodes_exhausted: u64,
    /// Ready nodes in the node pool.
    pub nodes_in_pool: u64,
    pub node_pool: String,
    /// Ready nodes by datacenter.
    pub nodes_available: BTreeMap<String, u64>,
    /// Nodes by the constraint that they failed, or `missing drivers` and the like.
    pub constraint_filtered: BTreeMap<String, u64>,
    /// Nodes by what they lack: `memory`, `cpu`, `disk`, …
    pub dimension_exhausted: BTreeMap<String, u64>,
    /// Quotas that are used up (Enterprise).
    pub quota_exhausted: Vec<String>,
}

/// Why a job is not placed, of all its evaluations, oldest first; `None` where none of them says.
/// The newest one that failed counts, for the blocked one itself may tell less.
pub fn why_not_placed(evaluations: &[Evaluation]) -> Option<String> {
    let failed = evaluations.iter().rev().find(|e| !e.failed_tg_allocs.is_empty())?;
    let mut words: Vec<String> =
        failed.failed_tg_allocs.values().map(PlacementFailure::in_words).collect();
    words.dedup();
    Some(words.join("; "))
}

impl PlacementFailure {
    /// As in `3 nodes: 2 lack memory, 1 filtered by ${attr.cpu.arch} = arm64`.
    pub fn in_words(&self) -> String {
        if !self.quota_exhausted.is_empty() {
            return format!("quota used up: {}", self.quota_exhausted.join(", "));
        }
        if self.nodes_evaluated == 0 {
            return self.no_nodes();
        }
        let mut reasons = Vec::new();
        for (dimension, nodes) in &self.dimension_exhausted {
            let verb = if *nodes == 1 { "lacks" } else { "lack" };
            reasons.push((*nodes, format!("{nodes} {verb} {dimension}")));
        }
        for (constraint, nodes) in &self.constraint_filtered {
            reasons.push((*nodes, format!("{nodes} filtered by {constraint}")));
        }
        // Nodes that no map names, such as those filtered by class alone.
        let named = |map: &BTreeMap<String, u64>| map.values().sum::<u64>();
        let filtered = self.nodes_filtered.saturating_sub(named(&self.constraint_filtered));
        if filtered > 0 {
            reasons.push((filtered, format!("{filtered} filtered")));
        }
        let exhausted = self.nodes_exhausted.saturating_sub(named(&self.dimension_exhausted));
        if exhausted > 0 {
            reasons.push((exhausted, format!("{exhausted} without room")));
        }
        // Most nodes first; the sort is stable, so room comes before constraints.
        reasons.sort_by_key(|(nodes, _)| std::cmp::Reverse(*nodes));
        let reasons: Vec<_> = reasons.into_iter().map(|(_, words)| words).collect();
        let nodes = if self.nodes_evaluated == 1 { "node" } else { "nodes" };
        if reasons.is_empty() {
            return format!("{} {nodes}, and no reason given", self.nodes_evaluated);
        }
        format!("{} {nodes}: {}", self.nodes_evaluated, reasons.join(", "))
    }

    /// Nomad says the same whether none ever joined, all drain, or (seen on 1.11.3, against its
    /// own field's name) the job's datacenters have none.
    fn no_nodes(&self) -> String {
        let pool = match self.node_pool.as_str() {
            "" => "the node pool".to_owned(),
            pool => format!("node pool {pool:?}"),
        };
        format!(
            "no ready node in {pool} (none in the job's datacenters, or all drain or are \
             ineligible)"
        )
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireEvaluation {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    status: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    status_description: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    triggered_by: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    blocked_eval: String,
    #[serde(rename = "FailedTGAllocs", default)]
    failed_tg_allocs: Map<Option<WireFailure>>,
    #[serde(default, deserialize_with = "wire::or_default")]
    create_time: i64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct WireFailure {
    nodes_evaluated: u64,
    nodes_filtered: u64,
    nodes_exhausted: u64,
    nodes_in_pool: u64,
    node_pool: Option<String>,
    nodes_available: Map<u64>,
    constraint_filtered: Map<u64>,
    dimension_exhausted: Map<u64>,
    quota_exhausted: Option<Vec<String>>,
}

impl From<WireFailure> for PlacementFailure {
    fn from(wire: WireFailure) -> PlacementFailure {
        PlacementFailure {
            nodes_evaluated: wire.nodes_evaluated,
            nodes_filtered: wire.nodes_filtered,
            nodes_exhausted: wire.nodes_exhausted,
            nodes_in_pool: wire.nodes_in_pool,
            node_pool: wire::text(&wire.node_pool.unwrap_or_default()),
            nodes_available: counted(wire.nodes_available, wire::text),
            // A constraint is written with `${…}`, and is searched for in the job as it is written
            // there; what is told of it is never sent to Nomad.
            constraint_filtered: counted(wire.constraint_filtered, |name| {
                wire::text(name).replace("$ {", "${")
            }),
            dimension_exhausted: counted(wire.dimension_exhausted, wire::text),
            quota_exhausted: wire
                .quota_exhausted
                .into_iter()
                .flatten()
                .map(|it| wire::text(&it))
                .collect(),
        }
    }
}

fn counted(map: Map<u64>, name: impl Fn(&str) -> String) -> BTreeMap<String, u64> {
    map.unwrap_or_default().into_iter().map(|(of, nodes)| (name(&of), nodes)).collect()
}

impl From<WireEvaluation> for Evaluation {
    fn from(wire: WireEvaluation) -> Evaluation {
        let failures = wire.failed_tg_allocs.unwrap_or_default();
        let failure = |(group, f): (String, Option<WireFailure>)| {
            (wire::text(&group), f.unwrap_or_default().into())
        };
        Evaluation {
            id: wire.id,
            status: wire.status,
            status_description: wire::text(&wire.status_description),
            triggered_by: wire::text(&wire.triggered_by),
            blocked_eval: wire::some(wire.blocked_eval),
            failed_tg_allocs: failures.into_iter().map(failure).collect(),
            create_time: wire::time(wire.create_time),
        }
    }
}

impl Client {
    /// `GET /v1/job/:id/evaluations`, oldest first. Needs the capability `read-job`. An unknown
    /// job has none; a pending child without any met a bug of Nomad before 1.10.5 (its dispatch
    /// was half written).
    pub async fn evaluations(&self, place: &Place, child: &str) -> Result<Vec<Evaluation>, Error> {
        let call = Call::to(Endpoint::Evaluations(child)).at(place);
        let (wire, _) = self.read::<Option<Vec<WireEvaluation>>>(call).await?;
        let mut all: Vec<_> = wire.unwrap_or_default().into_iter().map(Evaluation::from).collect();
        all.sort_by_key(|e| e.create_time);
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::json;
    use wiremock::matchers::path;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    fn words(value: serde_json::Value) -> String {
        let wire: WireFailure = serde_json::from_value(value).unwrap();
        PlacementFailure::from(wire).in_words()
    }

    #[test]
    fn failures_in_words() {
        assert_eq!(
            words(json!({"NodesEvaluated": 3, "NodesFiltered": 1, "NodesExhausted": 2,
                "NodesInPool": 3, "DimensionExhausted": {"memory": 2},
                "ConstraintFiltered": {"${attr.cpu.arch} = arm64": 1}})),
            "3 nodes: 2 lack memory, 1 filtered by ${attr.cpu.arch} = arm64"
        );
        // As Nomad 1.11.3 sent them.
        assert_eq!(
            words(json!({"ConstraintFiltered": {"missing drivers": 1}, "NodesEvaluated": 1,
                "NodesFiltered": 1, "NodesExhausted": 0, "NodesAvailable": {"dc1": 1},
                "NodesInPool": 1, "DimensionExhausted": null})),
            "1 node: 1 filtered by missing drivers"
        );
        assert_eq!(
            words(json!({"DimensionExhausted": {"memory": 1}, "NodesEvaluated": 1,
                "NodesExhausted": 1, "NodesFiltered": 0,
                "ResourcesExhausted": {"main": {"MemoryMB": 999_999}}})),
            "1 node: 1 lacks memory"
        );
        assert_eq!(
            words(json!({"NodesAvailable": {}, "NodesEvaluated": 0, "NodesInPool": 0,
                "NodePool": "ci"})),
            "no ready node in node pool \"ci\" (none in the job's datacenters, or all drain or are \
             ineligible)"
        );
        assert_eq!(
            words(json!({"NodesEvaluated": 0, "NodesInPool": 2})),
            "no ready node in the node pool (none in the job's datacenters, or all drain or are \
             ineligible)"
        );
        assert_eq!(words(json!({"NodesEvaluated": 2, "NodesFiltered": 2})), "2 nodes: 2 filtered");
        assert_eq!(words(json!({"NodesEvaluated": 1})), "1 node, and no reason given");
        assert_eq!(words(json!({"QuotaExhausted": ["cpu"]})), "quota used up: cpu");
    }

    #[test]
    fn what_nodes_and_jobs_are_called_moves_no_terminal() {
        let words = words(json!({"NodesEvaluated": 2, "NodesFiltered": 1, "NodesExhausted": 1,
            "DimensionExhausted": {"mem\u{1b}[2J": 1},
            "ConstraintFiltered": {"${meta.a} = \u{202e}x\n": 1}}));
        assert_eq!(words, "2 nodes: 1 lacks mem [2J, 1 filtered by ${meta.a} =  x ");
    }

    #[test]
    fn the_newest_failure_is_told() {
        let evaluation = |second, lacking: Option<&str>| Evaluation {
            id: String::new(),
            status: "complete".to_owned(),
            status_description: String::new(),
            triggered_by: String::new(),
            blocked_eval: None,
            failed_tg_allocs: lacking
                .map(|lacking| {
                    let failure = PlacementFailure {
                        nodes_evaluated: 1,
                        nodes_exhausted: 1,
                        dimension_exhausted: BTreeMap::from([(lacking.to_owned(), 1)]),
                        ..PlacementFailure::default()
                    };
                    ("g".to_owned(), failure)
                })
                .into_iter()
                .collect(),
            create_time: Timestamp::from_second(second).unwrap(),
        };
        let all = [evaluation(1, Some("cpu")), evaluation(2, Some("memory")), evaluation(3, None)];
        assert_eq!(why_not_placed(&all).as_deref(), Some("1 node: 1 lacks memory"));
        assert_eq!(why_not_placed(&all[2..]), None);
    }

    #[tokio::test]
    async fn a_blocked_job_tells_why() {
        let server = MockServer::start().await;
        Mock::given(path("/v1/job/x/evaluations"))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!([
                {"ID": "e2", "Status": "blocked", "CreateTime": 2, "FailedTGAllocs": null},
                {"ID": "e1", "Status": "complete", "BlockedEval": "e2", "CreateTime": 1,
                 "FailedTGAllocs": {"g": {"NodesEvaluated": 1, "NodesExhausted": 1,
                    "DimensionExhausted": {"cpu": 1}}, "h": null}}
            ])))
            .mount(&server)
            .await;
        let client = testing::client(&server.uri());
        let all = client.evaluations(client.place(), "x").await.unwrap();
        assert_eq!(all[0].blocked_eval.as_deref(), Some("e2"));
        assert_eq!(all[0].failed_tg_allocs["g"].in_words(), "1 node: 1 lacks cpu");
        assert_eq!(all[1].blocked_eval, None);
        assert!(all[1].failed_tg_allocs.is_empty());
    }
}
