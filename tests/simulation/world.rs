//! The simulated world: everybody in it, and the loop that lets one thing happen after another.
//!
//! Whoever acts has a file of his own: `daemon`, `carrier`, `follower`, `door`, `runners`,
//! `scenario`. Read next: `daemon.rs`.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use roustabout::ledger::{Rules, Time};
use simulated::github::GitHub;
use simulated::github::model::{MINUTE, Millis, SECOND};
use simulated::nomad::Nomad;

use crate::agenda::{Act, Agenda};
use crate::daemon::Daemon;
use crate::disk::Disk;
use crate::follower::place;
use crate::gitea;
use crate::runners::Process;
use crate::scenario::Setting;
use crate::story::Story;
use crate::troubles::{Trouble, Weather};
use crate::watching::Watching;

/// When every story begins.
pub const BEGIN: Millis = 1_790_000_000_000;
/// How long after the scenario's end all must be quiet. The longest single wait is an hour: a
/// dispatch of unknown outcome.
pub const PATIENCE: Millis = 8 * 60 * MINUTE;

/// How long it must be quiet, so that nothing comes after the end.
const QUIET: Millis = 2 * MINUTE;

pub struct World {
    pub now: Millis,
    /// How far the clock of the daemon's machine is ahead.
    pub skew: Millis,
    pub rng: StdRng,
    pub agenda: Agenda,
    pub github: GitHub,
    /// What its listings may still show.
    pub lagging: Option<Box<GitHub>>,
    lagged_at: Millis,
    pub nomad: Nomad,
    pub disk: Disk,
    /// Counts the daemon's starts; what an earlier life was waiting for reaches nobody.
    pub life: u32,
    pub daemon: Option<Daemon>,
    pub processes: BTreeMap<String, Process>,
    pub weather: Weather,
    pub setting: Setting,
    pub rules: Rules,
    pub story: Story,
    pub watching: Watching,
    /// When Nomad could be reached again.
    pub nomad_back_at: Millis,
    /// When the daemon is started again, if it is off.
    pub starts_at: Millis,
    /// For how long it was off, over all its lives.
    pub off_in_all: Millis,
    /// Since when nothing goes wrong any more.
    pub calm_since: Option<Millis>,
    quiet_since: Option<Millis>,
    told: (usize, usize),
}

impl World {
    pub fn new(seed: u64, tells: bool) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let kind = gitea::kind_of(seed);
        let mut weather = Weather::draw(&mut rng);
        if kind.is_gitea() {
            weather.spare(gitea::NOT_ITS);
        }
        let mut github = GitHub::new("http://github.test", StdRng::seed_from_u64(rng.random()));
        github.knobs.kind = kind;
        let nomad = Nomad::new(StdRng::seed_from_u64(rng.random()));
        Self {
            now: BEGIN,
            skew: 0,
            rng,
            agenda: Agenda::default(),
            github,
            lagging: None,
            lagged_at: BEGIN,
            nomad,
            disk: Disk::default(),
            life: 0,
            daemon: None,
            processes: BTreeMap::new(),
            weather,
            setting: Setting::default(),
            rules: Rules {
                forge: gitea::forge(kind),
                name_prefix: "roustabout".to_owned(),
                nomad: place(),
                max: 0,
                robots: Vec::new(),
                pools: Vec::new(),
            },
            story: Story::new(tells, BEGIN),
            watching: Watching::default(),
            nomad_back_at: BEGIN,
            starts_at: BEGIN,
            off_in_all: 0,
            calm_since: None,
            quiet_since: None,
            told: (0, 0),
        }
    }

    /// Lets everything happen, until all is quiet or a promise is broken.
    pub fn run(&mut self) -> Result<(), String> {
        loop {
            let Some(next) = self.next() else {
                return Err("nothing is going to happen any more".to_owned());
            };
            self.now = self.now.max(next);
            self.nomad.tick(self.now);
            if let Some(act) = self.agenda.take(self.now) {
                self.perform(act);
            }
            self.settle();
            self.watching.verdict()?;
            if let Some(since) = self.calm_since {
                self.quiet_since = self.is_quiet().then(|| self.quiet_since.unwrap_or(self.now));
                if self.quiet_since.is_some_and(|quiet| self.now > quiet + QUIET) {
                    return self.judge_the_end();
                }
                if self.now > since + PATIENCE {
                    return Err(format!("not quiet at the end: {}", self.unrest()));
                }
            }
        }
    }

    /// When something happens next.
    fn next(&self) -> Option<Millis> {
        let daemon = self.daemon.as_ref().and_then(Daemon::next);
        [self.agenda.next(), self.nomad.next_due(), self.github.next_delivery(), daemon]
            .into_iter()
            .flatten()
            .min()
    }

    fn perform(&mut self, act: Act) {
        match act {
            Act::Plan(plan) => self.carry_out_plan(plan),
            Act::Clock => self.clock(),
            Act::Arrive(delivery) => self.arrive(*delivery),
            Act::HandIn { life, delivery, row } => self.hand_in(life, *delivery, *row),
            Act::Written { life } => self.written(life),
            Act::Fly(flight) => self.fly(*flight),
            Act::Hear { life, event } => self.hear(life, *event),
            Act::Follow { life } => self.follow(life),
            Act::Reconcile { life, look } => self.reconcile(life, look),
            Act::LookAtParent { life, pool, refused, until } => {
                self.look_at_parent(life, pool, refused, until);
            }
            Act::Runner { process, step } => self.runner_step(&process, step),
            Act::Start => self.start(),
            Act::CalmDown => self.calm_down(),
        }
    }

    /// What follows at once from whatever has happened.
    fn settle(&mut self) {
        self.hear_from_nomad();
        self.github.assign(self.now);
        self.wake_runners();
        for delivery in self.github.take_deliveries(self.now) {
            self.agenda.enter(self.now, Act::Arrive(Box::new(delivery)));
        }
        self.turn();
        self.wake_follower();
        self.check_cluster();
        self.tell();
    }

    fn clock(&mut self) {
        self.github.tick(self.now);
        if self.weather.has(Trouble::GitHubLags) && !self.weather.calm {
            self.lag();
        }
        self.check_followed();
        self.clear_strays();
        self.agenda.enter(self.now + 5 * SECOND, Act::Clock);
    }

    /// GitHub's listings lag by up to some 20 s (runs-on#429): every 15 s there is a new state
    /// that they may show until the next one.
    fn lag(&mut self) {
        if self.now - self.lagged_at >= 15 * SECOND {
            self.lagged_at = self.now;
            self.lagging = Some(Box::new(self.github.clone()));
        }
    }

    /// Puts down what the models have noted.
    fn tell(&mut self) {
        if !self.story.tells() {
            return;
        }
        let (github, nomad) = self.told;
        let forge = if self.is_gitea() { "gitea" } else { "github" };
        for happening in &self.github.events()[github..] {
            self.story.tell(happening.at, forge, || happening.what.to_string());
        }
        for happening in &self.nomad.events()[nomad..] {
            self.story.tell(happening.at, "nomad", || happening.what.to_string());
        }
        self.told = (self.github.events().len(), self.nomad.events().len());
    }

    /// What the clock of the daemon's machine says.
    pub fn time(&self) -> Time {
        Time(self.now + self.skew)
    }

    pub fn draw(&mut self, least: Millis, most: Millis) -> Millis {
        self.rng.random_range(least..=most)
    }

    pub fn strikes(&mut self, trouble: Trouble, chance: f64) -> bool {
        self.weather.strikes(trouble, chance, &mut self.rng)
    }

    /// One of a list, by the seed.
    pub fn pick<T: Clone>(&mut self, list: &[T]) -> Option<T> {
        (!list.is_empty()).then(|| list[self.rng.random_range(0..list.len())].clone())
    }
}
