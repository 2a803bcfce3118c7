//! The state of the simulated Nomad, and what time alone changes in it.
//!
//! The rules live beside their idea: jobs, dispatching, children, scheduling, allocations, clients,
//! nodes, stopping, collecting; each adds its methods to [`Nomad`]. No I/O, no clock, no async here.
//! Read next: `dispatching.rs`, then `scheduling.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::{Rng, rngs::StdRng};

use super::acl::Acl;
use super::allocations::Allocation;
use super::changes::Frame;
use super::children::{Child, ChildrenCounts};
use super::evaluations::Evaluation;
use super::happenings::{Happening, What};
use super::jobs::{JobKey, Registered};
use super::jobspec::Definition;
use super::namespaces::Namespace;
use super::node_pools::NodePool;
use super::nodes::Node;
use super::scheduler_configuration::SchedulerConfiguration;
use super::tables::Table;
use super::variables::{VariableKey, Variables};

/// Milliseconds since 1970, or a length of time in them.
pub type Millis = i64;

pub const SECOND: Millis = 1_000;
pub const MINUTE: Millis = 60 * SECOND;
pub const HOUR: Millis = 60 * MINUTE;

/// What tests may set. The defaults are Nomad's, as far as it has any.
#[derive(Clone, Debug)]
pub struct Knobs {
    /// An evaluation is worked on after something drawn between these.
    pub scheduling: (Millis, Millis),
    /// One that nobody asked for, as when an allocation ends; `None`: as the others.
    pub following: Option<(Millis, Millis)>,
    /// A task starts after something drawn between these: downloads, images, prestart tasks.
    pub starting: (Millis, Millis),
    /// Chance that a task cannot be started at all.
    pub start_failure: f64,
    /// A silent node counts as down after something drawn between these (`heartbeat_grace` and the
    /// heartbeat's own TTL, 10 s each and more with many nodes; `nomad/heartbeat.go`).
    pub heartbeat: (Millis, Millis),
    /// Dead jobs are forgotten this long after their submission (`job_gc_threshold`,
    /// `nomad/core_sched.go`).
    pub gc_threshold: Millis,
    /// How often it is looked for such jobs (`job_gc_interval`).
    pub gc_interval: Millis,
    /// Of two dispatches with one token within this time, the second may be told a child that is
    /// not there (GH-27353, `nomad/fsm.go`; tried on 1.11.3: 35 of 200 replies).
    pub phantom_within: Millis,
    pub phantom: f64,
    /// `RejectJobRegistration`: the operator's load-shedding.
    pub dispatch_disabled: bool,
    /// Somebody runs the tasks, and says by [`Nomad::client_updates`] how they are. Off: the model
    /// plays the clients too.
    pub real_clients: bool,
    /// Every write is kept until somebody takes it, to be told ([`Nomad::take_frames`]).
    pub tells: bool,
    /// What is unknown is replaced where its disconnect block says so, even where its group is
    /// never rescheduled: so did versions before 1.11.2 (GH-27053).
    pub disconnect_replaces: bool,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            scheduling: (5, 500),
            following: None,
            starting: (200, 5 * SECOND),
            start_failure: 0.0,
            heartbeat: (10 * SECOND, 30 * SECOND),
            gc_threshold: 4 * HOUR,
            gc_interval: 5 * MINUTE,
            phantom_within: 0,
            phantom: 0.2,
            dispatch_disabled: false,
            real_clients: false,
            tells: false,
            disconnect_replaces: true,
        }
    }
}

/// A task has begun: whoever plays it is to be started, and to tell [`Nomad::task_exited`].
#[derive(Clone, Debug)]
pub struct Started {
    pub allocation: String,
    pub child: JobKey,
    pub node: String,
    pub meta: BTreeMap<String, String>,
    pub payload: Option<Vec<u8>>,
    /// The job that is to be run.
    pub definition: Arc<Definition>,
    /// Empty: it is no child.
    pub parent: String,
    pub group: String,
    /// Which of its group.
    pub number: u64,
}

/// What is to happen by itself at some time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    Evaluate(String),
    Start(String),
    /// The kill timeout of an allocation's task is over.
    Kill(String),
    /// Its poststop task is done.
    Poststop(String),
    /// A heartbeat of the node is missed.
    NodeDown(String),
    DrainOver(String),
    Collect,
    /// A lock of a variable that nobody renewed.
    Unlock(VariableKey),
}

/// The whole simulated Nomad.
#[derive(Clone, Debug)]
pub struct Nomad {
    pub knobs: Knobs,
    pub(super) rng: StdRng,
    pub(super) index: u64,
    /// When each was changed last.
    pub(super) tables: BTreeMap<Table, u64>,
    pub(super) acl: Acl,
    /// The agents know a Vault, for the tasks' tokens.
    pub(super) has_vault: bool,
    pub(super) nodes: BTreeMap<String, Node>,
    pub(super) jobs: BTreeMap<JobKey, Registered>,
    /// Of whatever was registered, newest first.
    pub(super) versions: BTreeMap<JobKey, Vec<Arc<Definition>>>,
    pub(super) children: BTreeMap<JobKey, Child>,
    /// By parent and idempotency token.
    pub(super) tokens: BTreeMap<(JobKey, String), JobKey>,
    pub(super) allocations: BTreeMap<String, Allocation>,
    pub(super) evaluations: BTreeMap<String, Evaluation>,
    pub(super) variables: Variables,
    pub(super) namespaces: BTreeMap<String, Namespace>,
    pub(super) node_pools: BTreeMap<String, NodePool>,
    pub(super) scheduler: SchedulerConfiguration,
    /// Evaluations that wait for the broker.
    pub(super) parked: Vec<String>,
    /// Oldest first; also of jobs that are not there any more.
    pub(super) evaluations_by_job: BTreeMap<JobKey, Vec<String>>,
    pub(super) counts: BTreeMap<JobKey, ChildrenCounts>,
    pub(super) frames: Vec<Frame>,
    /// Which key signs what allocations say of themselves.
    pub(super) signing_key: String,
    pub(super) due: BTreeSet<(Millis, Due)>,
    pub(super) started: Vec<Started>,
    pub(super) signalled: Vec<String>,
    pub(super) killed: Vec<String>,
    pub(super) happenings: Vec<Happening>,
}

impl Nomad {
    /// A cluster without nodes and jobs. All its draws come from `rng`.
    #[must_use]
    pub fn new(rng: StdRng) -> Self {
        Self {
            knobs: Knobs::default(),
            rng,
            index: 1,
            tables: BTreeMap::from([(Table::Namespaces, 1), (Table::NodePools, 1)]),
            acl: Acl::default(),
            has_vault: false,
            nodes: BTreeMap::new(),
            jobs: BTreeMap::new(),
            versions: BTreeMap::new(),
            children: BTreeMap::new(),
            tokens: BTreeMap::new(),
            allocations: BTreeMap::new(),
            evaluations: BTreeMap::new(),
            variables: Variables::default(),
            namespaces: named([Namespace::default_one()], |one| &one.name),
            node_pools: named(NodePool::built_in(), |one| &one.name),
            scheduler: SchedulerConfiguration::default(),
            parked: Vec::new(),
            evaluations_by_job: BTreeMap::new(),
            counts: BTreeMap::new(),
            frames: Vec::new(),
            signing_key: String::new(),
            due: BTreeSet::new(),
            started: Vec::new(),
            signalled: Vec::new(),
            killed: Vec::new(),
            happenings: Vec::new(),
        }
    }

    /// Does whatever is due by now, in order.
    pub fn tick(&mut self, now: Millis) {
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            let Some((at, due)) = self.due.pop_first() else { return };
            match due {
                Due::Evaluate(evaluation) if self.scheduler.pause_eval_broker => {
                    self.parked.push(evaluation);
                }
                Due::Evaluate(evaluation) => self.evaluate(&evaluation, at),
                Due::Start(allocation) => self.start(&allocation, at),
                Due::Kill(allocation) => self.kill(&allocation, at),
                Due::Poststop(allocation) => self.poststop_done(&allocation, at),
                Due::NodeDown(node) => self.heartbeat_missed(&node, at),
                Due::DrainOver(node) => self.drain_is_over(&node, at),
                Due::Collect => self.collect_old(at),
                Due::Unlock(key) => self.lock_is_due(&key, at),
            }
        }
    }

    /// When [`Nomad::tick`] has something to do next.
    #[must_use]
    pub fn next_due(&self) -> Option<Millis> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Tasks that have begun since this was asked last.
    pub fn take_started(&mut self) -> Vec<Started> {
        std::mem::take(&mut self.started)
    }

    /// Allocations whose tasks were told to end, with some time to do so, since this was asked last.
    pub fn take_signalled(&mut self) -> Vec<String> {
        std::mem::take(&mut self.signalled)
    }

    /// Allocations whose processes were killed, or died with their node, since this was asked last.
    pub fn take_killed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.killed)
    }

    /// Everything that happened so far, in order.
    #[must_use]
    pub fn events(&self) -> &[Happening] {
        &self.happenings
    }

    /// Grows with every change (`X-Nomad-Index`).
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    #[must_use]
    pub fn signing_key(&self) -> &str {
        &self.signing_key
    }

    pub(super) fn bump(&mut self) -> u64 {
        self.index += 1;
        self.index
    }

    pub(super) fn at(&mut self, at: Millis, due: Due) {
        self.due.insert((at, due));
    }

    pub(super) fn note(&mut self, at: Millis, what: What) {
        self.happenings.push(Happening { at, what });
    }

    pub(super) fn draw(&mut self, (least, most): (Millis, Millis)) -> Millis {
        self.rng.random_range(least..=most.max(least))
    }

    /// In the form of a UUID, as ids of allocations and evaluations are.
    pub(super) fn draw_id(&mut self) -> String {
        in_form_of_uuid(self.rng.random())
    }
}

fn named<T, const N: usize>(all: [T; N], name: fn(&T) -> &String) -> BTreeMap<String, T> {
    all.into_iter().map(|one| (name(&one).clone(), one)).collect()
}

/// As ids are written.
pub(super) fn in_form_of_uuid(bits: u128) -> String {
    let hex = format!("{bits:032x}");
    let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    format!("{a}-{b}-{c}-{d}-{e}")
}
