//! The simulated world: everybody in it but the daemon, and what happens next.
//!
//! Whoever acts has a file of his own: `wires`, `door`, `disk`, `runners`, `scenario`. The daemon
//! lives in `life`; while it does, time is its runtime's. Read next: `life.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use ledger::{Happening, Rules, State};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use roustabout::store::Reader;
use simulated::github::GitHub;
use simulated::github::model::{MINUTE, Millis, SECOND};
use simulated::nomad::{InProcess, Nomad};
use tempfile::TempDir;

use crate::agenda::{Act, Agenda};
use crate::app;
use crate::claims::{self, Claimed};
use crate::gitea;
use crate::life::{Daemon, Errand, Seen};
use crate::requests::Requests;
use crate::runners::Process;
use crate::scenario::Setting;
use crate::stage::place;
use crate::story::{Story, Telling};
use crate::troubles::{Trouble, Weather};
use crate::variables;
use crate::vault::{self, Kv};
use crate::warm;
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
    pub nomad: InProcess,
    pub vault: Kv,
    folder: TempDir,
    /// Reads what this life has committed.
    pub reader: Option<Reader>,
    pub life: u32,
    pub daemon: Option<Daemon>,
    /// What the daemon's own runtime is to do for the world.
    pub errands: Vec<Errand>,
    pub processes: BTreeMap<String, Process>,
    pub weather: Weather,
    pub setting: Setting,
    /// What the operator means.
    pub rules: Rules,
    /// What the config says at this moment.
    pub config: Rules,
    pub story: Story,
    pub watching: Watching,
    /// Requests of all lives.
    pub requests: Requests,
    /// When Nomad could be reached again.
    pub nomad_back_at: Millis,
    /// When the daemon is started again, if it is off.
    pub starts_at: Millis,
    /// Since when nothing goes wrong any more.
    pub calm_since: Option<Millis>,
    quiet_since: Option<Millis>,
    told: (usize, usize),
    /// What became of the seed.
    verdict: Option<Result<(), String>>,
}

/// Two seeds in five play with runners that have a credential of their own: in all pools, or in the
/// first. Gitea has none. Nothing is drawn for it, so the others play as they did.
fn jit_pools(seed: u64) -> BTreeSet<usize> {
    match seed % 5 {
        _ if gitea::kind_of(seed).is_gitea() => BTreeSet::new(),
        1 => (0..3).collect(),
        2 => BTreeSet::from([0]),
        _ => BTreeSet::new(),
    }
}

fn no_rules() -> Rules {
    Rules {
        forge: ledger::pool::Forge::default(),
        name_prefix: "roustabout".to_owned(),
        nomad: place(),
        max: 0,
        robots: Vec::new(),
        pools: Vec::new(),
    }
}

impl World {
    pub fn new(seed: u64, telling: Telling) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let kind = gitea::kind_of(seed);
        let mut weather = Weather::draw(&mut rng);
        if kind.is_gitea() {
            weather.spare(gitea::NOT_ITS);
        }
        let mut github = GitHub::new("http://github.test", StdRng::seed_from_u64(rng.random()));
        github.knobs.kind = kind;
        let nomad = Nomad::new(StdRng::seed_from_u64(rng.random()));
        let nomad = InProcess::new(nomad, StdRng::seed_from_u64(rng.random()), BEGIN).unwrap();
        Self {
            now: BEGIN,
            skew: 0,
            rng,
            agenda: Agenda::default(),
            github,
            lagging: None,
            lagged_at: BEGIN,
            nomad,
            vault: Kv::default(),
            folder: tempfile::tempdir().unwrap(),
            reader: None,
            life: 0,
            daemon: None,
            errands: Vec::new(),
            processes: BTreeMap::new(),
            weather,
            setting: Setting {
                jit: jit_pools(seed),
                vault: vault::pools(seed, &variables::pools(seed)),
                variables: variables::pools(seed),
                claim: claims::pools(seed),
                plays_app: app::is_played(seed).then_some(seed),
                plays_warm: warm::is_played(seed).then_some(seed),
                ..Setting::default()
            },
            rules: no_rules(),
            config: no_rules(),
            story: Story::new(telling, BEGIN),
            watching: Watching::default(),
            requests: Requests::default(),
            nomad_back_at: BEGIN,
            starts_at: BEGIN,
            calm_since: None,
            quiet_since: None,
            told: (0, 0),
            verdict: None,
        }
    }

    pub fn database(&self) -> PathBuf {
        self.folder.path().join("roustabout.db")
    }

    /// Time has passed until then.
    pub fn pass(&mut self, now: Millis) {
        if now > self.now {
            self.now = now;
            self.nomad.at(now);
        }
    }

    /// When something happens next without the daemon.
    pub fn next(&self) -> Option<Millis> {
        let nomad = self.nomad.lock().next_due();
        [self.agenda.next(), nomad, self.github.next_delivery()].into_iter().flatten().min()
    }

    /// While the daemon is off nobody else lets time pass.
    pub fn skip_to_next(&mut self) {
        match self.next() {
            Some(next) => self.pass(next),
            None => {
                self.verdict = Some(Err("nothing is going to happen any more".to_owned()));
            }
        }
    }

    /// Lets happen what is due, and what follows from whatever has happened.
    pub fn go_on(&mut self) {
        self.settle();
        while let Some(act) = self.agenda.take(self.now) {
            self.perform(act);
            self.settle();
        }
        self.judge();
    }

    fn judge(&mut self) {
        if self.verdict.is_some() {
            return;
        }
        if let Err(broken) = self.watching.verdict() {
            self.verdict = Some(Err(broken));
        } else if let Some(since) = self.calm_since {
            self.quiet_since = self.is_quiet().then(|| self.quiet_since.unwrap_or(self.now));
            if self.quiet_since.is_some_and(|quiet| self.now > quiet + QUIET) {
                self.verdict = Some(self.judge_the_end());
            } else if self.now > since + PATIENCE {
                self.verdict = Some(Err(format!("not quiet at the end: {}", self.unrest())));
            }
        }
    }

    pub fn is_over(&self) -> bool {
        self.verdict.is_some()
    }

    pub fn verdict(&self) -> Option<Result<(), String>> {
        self.verdict.clone()
    }

    fn perform(&mut self, act: Act) {
        match act {
            Act::Plan(plan) => self.carry_out_plan(plan),
            Act::Clock => self.clock(),
            Act::Arrive(delivery) => self.arrive(*delivery),
            Act::Late { side, left, request } => self.arrive_late(side, left, &request),
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
            self.lagging = Some(Box::new(self.github.without_logs()));
        }
    }

    /// The daemon is started, unless it runs.
    fn start(&mut self) {
        if self.daemon.is_some() {
            return;
        }
        self.life += 1;
        self.requests.starts.push(self.now);
        let life = self.life;
        self.story.tell(self.now, "daemon", || format!("starts, life {life}"));
        let mut seen = Seen::default();
        if self.database().exists() {
            let rows = self.rows().runners.into_iter();
            seen.runners = rows.map(|it| (it.name.clone(), it.child.clone(), false)).collect();
        }
        self.daemon = Some(Daemon { since: self.now, seen, dying: None });
    }

    /// It is killed as soon as its runtime comes to it; whatever it was doing is cut off there.
    pub fn dies(&mut self, how: &str) {
        if let Some(daemon) = &mut self.daemon
            && daemon.dying.is_none()
        {
            daemon.dying = Some(how.to_owned());
        }
    }

    pub fn is_dying(&self) -> bool {
        self.daemon.as_ref().is_some_and(|daemon| daemon.dying.is_some())
    }

    /// Its runtime is gone.
    pub fn is_dead(&mut self) {
        let Some(daemon) = self.daemon.take() else { return };
        self.reader = None;
        self.requests.lived += self.now - daemon.since;
        self.watching.dispatching.clear();
        for errand in std::mem::take(&mut self.errands) {
            self.is_not_answered(errand);
        }
        let Some(how) = daemon.dying else { return };
        self.story.tell(self.now, "daemon", || how);
        if std::mem::take(&mut self.setting.database_is_lost) {
            for entry in std::fs::read_dir(self.folder.path()).unwrap() {
                std::fs::remove_file(entry.unwrap().path()).unwrap();
            }
            self.watching.forget_promises();
        }
        use simulated::github::model::HOUR;
        let off = match self.weather.has(Trouble::OffForHours) && self.rng.random_bool(0.3) {
            true => self.draw(3 * HOUR, 6 * HOUR),
            false => *self.pick(&[100, SECOND, 10 * SECOND, 120 * SECOND]).get_or_insert(0),
        };
        let off = if self.weather.calm { 100 } else { off };
        self.starts_at = self.now + off;
        self.agenda.enter(self.starts_at, Act::Start);
    }

    /// Nobody is at the door.
    pub fn is_not_answered(&mut self, errand: Errand) {
        match errand {
            Errand::Knock(delivery) => self.answered(*delivery, None),
            Errand::Claim(asked) => self.claimed(&asked, &Claimed::Refused),
            _ => {}
        }
    }

    /// The config as this start finds it.
    pub fn rules_of_this_start(&mut self) -> Rules {
        if self.life > 1 && self.weather.has(Trouble::ConfigChanges) {
            self.config = self.rules.clone();
            if self.strikes(Trouble::ConfigChanges, 0.5) {
                self.config = self.another_config();
            }
        }
        self.config.clone()
    }

    pub fn is_reloaded(&mut self) {
        self.story.tell(self.now, "daemon", || "goes on by another config".to_owned());
    }

    pub fn is_not_reloaded(&mut self, why: &str) {
        self.story.tell(self.now, "daemon", || format!("stays with its config: {why}"));
    }

    /// Puts down what the models have noted.
    fn tell(&mut self) {
        if !self.story.tells() {
            return;
        }
        let (github, told_of_nomad) = self.told;
        let forge = if self.is_gitea() { "gitea" } else { "github" };
        for happening in &self.github.events()[github..] {
            self.story.tell(happening.at, forge, || happening.what.to_string());
        }
        let nomad = self.nomad.lock();
        for happening in &nomad.events()[told_of_nomad..] {
            self.story.tell(happening.at, "nomad", || happening.what.to_string());
        }
        self.told = (self.github.events().len(), nomad.events().len());
    }

    pub fn tell_happening(&mut self, happening: &Happening) {
        self.story.tell(self.now, "daemon", || {
            let about = &happening.about;
            let job = about.job.map(|id| format!(" job={id}")).unwrap_or_default();
            let runner = about.runner.as_ref();
            let runner = runner.map(|name| format!(" runner={name}")).unwrap_or_default();
            let warn = if happening.what.is_warning() { "! " } else { "" };
            format!("{warn}{happening}{job}{runner}")
        });
    }

    /// From here on the disk has whatever was folded so far.
    pub fn rows_are_handed_in(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            daemon.seen.written = daemon.seen.folds;
        }
    }

    /// What was folded is handed in again later, and nothing is folded until that is through.
    pub fn rows_are_refused(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            daemon.seen.memory = None;
        }
    }

    /// What is looked at between two folds.
    pub fn see(&mut self, state: &State) {
        let seen = self.summary(state);
        if let Some(daemon) = &mut self.daemon {
            daemon.seen = seen;
        }
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
