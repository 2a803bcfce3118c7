//! Everything that can go wrong, or is merely unusual. A scenario draws some of it; what each of
//! them does is where it strikes.

use rand::Rng;
use rand::rngs::StdRng;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    WebhooksLate,
    WebhooksDoubled,
    WebhooksLost,
    /// Deliveries that failed while the daemon was off stay failed.
    NobodyRedelivers,
    Cancels,
    Reruns,
    Environments,
    /// Somebody else's runners take our jobs.
    ForeignRunners,
    /// Robots push too, and get less while people wait.
    Robots,
    /// … to their branches, and runs that a newer push has made pointless are cancelled.
    Storms,
    /// Pools refuse an event and an actor.
    ChoosyPools,
    /// Pools are paused and resumed, jobs retried by hand.
    Operators,
    /// Parameterized jobs that take no `runner_name`, or fetch what they need themselves.
    OwnJobs,
    RepositoryRenamed,
    /// … and nothing is heard of it afterwards.
    RenamedInSilence,
    TurnsPublic,
    GitHubFails,
    GitHubLimits,
    /// Its listings show what was so some seconds ago.
    GitHubLags,
    NomadFails,
    NomadAway,
    NetworkSlow,
    /// A request that was given up acts later.
    RequestsActLate,
    /// The daemon dies at any moment.
    Crashes,
    /// It is off for hours, and Nomad forgets meanwhile.
    OffForHours,
    DatabaseLost,
    /// A start may find pools gone or smaller.
    ConfigChanges,
    /// … and the daemon may be told of that while it runs.
    Reloads,
    NodesDie,
    NodesCutOff,
    NodesDrain,
    AllocationsStopped,
    ChildrenStopped,
    ChildrenPurged,
    SystemGc,
    ParentsChange,
    /// Too little room, for longer than a token lives.
    NoRoom,
    TasksDoNotStart,
    RunnersFail,
    RunnersSlow,
    RunnersHang,
    /// A second allocation of a child registers once more.
    SecondAllocations,
    /// Registrations of runners that are gone stay, where the ledger does not see them.
    StraysStay,
    DiskSlow,
    /// Nothing can be written for a while.
    DiskFull,
    /// Somebody else posts webhooks, signed with what they think the secret is.
    Forgers,
    /// The clock of the daemon's machine starts in 1970 or some days off, and is set now and then.
    ClockWrong,
}

impl Trouble {
    const ALL: &[Trouble] = &[
        Trouble::WebhooksLate,
        Trouble::WebhooksDoubled,
        Trouble::WebhooksLost,
        Trouble::NobodyRedelivers,
        Trouble::Cancels,
        Trouble::Reruns,
        Trouble::Environments,
        Trouble::ForeignRunners,
        Trouble::Robots,
        Trouble::ChoosyPools,
        Trouble::Operators,
        Trouble::OwnJobs,
        Trouble::RepositoryRenamed,
        Trouble::RenamedInSilence,
        Trouble::TurnsPublic,
        Trouble::GitHubFails,
        Trouble::GitHubLimits,
        Trouble::GitHubLags,
        Trouble::NomadFails,
        Trouble::NomadAway,
        Trouble::NetworkSlow,
        Trouble::RequestsActLate,
        Trouble::Crashes,
        Trouble::OffForHours,
        Trouble::DatabaseLost,
        Trouble::ConfigChanges,
        Trouble::Reloads,
        Trouble::NodesDie,
        Trouble::NodesCutOff,
        Trouble::NodesDrain,
        Trouble::AllocationsStopped,
        Trouble::ChildrenStopped,
        Trouble::ChildrenPurged,
        Trouble::SystemGc,
        Trouble::ParentsChange,
        Trouble::NoRoom,
        Trouble::TasksDoNotStart,
        Trouble::RunnersFail,
        Trouble::RunnersSlow,
        Trouble::RunnersHang,
        Trouble::SecondAllocations,
        Trouble::StraysStay,
        Trouble::DiskSlow,
        Trouble::DiskFull,
        Trouble::Forgers,
        Trouble::ClockWrong,
        Trouble::Storms,
    ];
}

/// What goes wrong in this seed, and whether it does now.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    troubles: Vec<Trouble>,
    pub calm: bool,
}

impl Weather {
    /// None in one seed of eight, a few in most, many in some.
    pub fn draw(rng: &mut StdRng) -> Self {
        let chance = [0.0, 0.05, 0.05, 0.1, 0.1, 0.2, 0.3, 0.5][rng.random_range(0..8)];
        let drawn = Trouble::ALL.iter().filter(|_| rng.random_bool(chance)).copied();
        Self { troubles: drawn.collect(), calm: false }
    }

    /// Nothing goes wrong.
    pub fn fair() -> Self {
        Self { troubles: Vec::new(), calm: false }
    }

    /// Without these.
    pub fn spare(&mut self, spared: &[Trouble]) {
        self.troubles.retain(|one| !spared.contains(one));
    }

    /// Whether the seed has this trouble at all.
    pub fn has(&self, trouble: Trouble) -> bool {
        self.troubles.contains(&trouble)
    }

    /// Whether it strikes now, with this chance.
    pub fn strikes(&self, trouble: Trouble, chance: f64, rng: &mut StdRng) -> bool {
        !self.calm && self.has(trouble) && rng.random_bool(chance)
    }

    pub fn is_fair(&self) -> bool {
        self.troubles.is_empty()
    }

    pub fn words(&self) -> String {
        format!("{:?}", self.troubles)
    }
}
