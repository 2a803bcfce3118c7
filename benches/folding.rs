//! What folding one event costs with 100 open jobs and with 20 000, side by side in one run:
//! the second over the first is the figure. `cargo bench --bench folding`.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by it")]

use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use roustabout::config;
use roustabout::engine::rules;
use roustabout::ledger::event::{Children, Webhook};
use roustabout::ledger::observation::Observation;
use roustabout::ledger::{
    DeliveryId, Event, JobId, JobReport, JobStatus, NomadPlace, Repository, RepositoryId, RunId,
    ScopeKey, State, Time, Visibility, step,
};

/// Jobs wait in so many repositories.
const REPOSITORIES: u64 = 100;
/// Events that are timed, in each round and for each size.
const EVENTS: u64 = 2000;
const ROUNDS: usize = 7;

fn report(id: u64, status: JobStatus) -> JobReport {
    JobReport {
        id: JobId(id),
        run: RunId(id / 10),
        run_attempt: 1,
        name: "build".into(),
        workflow: Some("ci".into()),
        head_branch: Some("main".into()),
        labels: vec!["linux".into()],
        status,
        conclusion: None,
        runner_name: None,
        url: None,
        created_at: None,
        actor: None,
        details: None,
    }
}

struct Bench {
    state: State,
    rng: StdRng,
    now: Time,
    next: u64,
}

impl Bench {
    /// A full house: every place taken, and `open` jobs waiting.
    fn with(open: u64) -> Self {
        let text = "[[pools]]\nname = \"x64\"\nnomad_job = \"runner\"\nlabels = [\"linux\"]\n\
                    repositories = [\"octo/*\"]\ndelivery = \"payload\"\n";
        let secrets =
            [("ROUSTABOUT_WEBHOOK_SECRET", "0123456789abcdef"), ("ROUSTABOUT_GITHUB_TOKEN", "t")];
        let loaded = config::from_text(text, "bench", &secrets.into_iter().collect()).unwrap();
        let state = State::new(rules(&loaded.settings));
        let mut bench =
            Self { state, rng: StdRng::seed_from_u64(1), now: Time(1_800_000_000_000), next: 1 };
        bench.fold(Event::ChildrenSeen(Children {
            place: NomadPlace::default(),
            phases: Vec::new(),
        }));
        bench.fold(Event::Observed(Box::new(Observation::SweptAll)));
        for repository in 0..REPOSITORIES {
            let scope = ScopeKey::Repository(RepositoryId(repository));
            let ends = Time(bench.now.0 + 3_600_000);
            bench.fold(Event::CredentialMinted { scope, answer: Ok(ends) });
        }
        for _ in 0..open {
            bench.hear_new();
        }
        bench
    }

    fn fold(&mut self, event: Event) {
        let effects = step::step(&mut self.state, event, self.now, &mut self.rng);
        let _ = std::hint::black_box(effects);
    }

    fn hear(&mut self, report: JobReport) {
        let id = report.id.0 % REPOSITORIES;
        let webhook = Webhook {
            delivery: DeliveryId(format!("{}-{}", report.id, report.status.as_str())),
            received_at: self.now,
            repository: Repository {
                former: Vec::new(),
                id: RepositoryId(id),
                full_name: format!("octo/r{id}"),
                html_url: format!("https://github.com/octo/r{id}"),
                visibility: Visibility::Private,
                forkable: false,
                owned_by_organization: true,
                topics: None,
            },
            report: Some(report),
            past: None,
        };
        self.fold(Event::Webhook(Box::new(webhook)));
    }

    fn hear_new(&mut self) {
        self.next += 1;
        self.hear(report(self.next, JobStatus::Queued));
    }

    /// A job comes and is cancelled, so that the number of open jobs stays: time for one event.
    fn time(&mut self) -> Duration {
        let start = Instant::now();
        for _ in 0..EVENTS / 2 {
            self.hear_new();
            self.hear(report(self.next, JobStatus::Completed));
        }
        start.elapsed() / u32::try_from(EVENTS).unwrap()
    }
}

fn main() {
    let (mut few, mut many) = (Bench::with(100), Bench::with(20_000));
    assert_eq!((few.state.jobs.len(), many.state.jobs.len()), (100, 20_000));
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let (one, other) = (few.time(), many.time());
        ratios.push(other.as_secs_f64() / one.as_secs_f64());
        println!("100 open jobs: {one:?} an event; 20 000: {other:?}");
    }
    ratios.sort_by(f64::total_cmp);
    println!("20 000 over 100: {:.2} (median of {ROUNDS})", ratios[ROUNDS / 2]);
}
