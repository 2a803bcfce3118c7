//! Many jobs of many repositories at once, with one credential: how many requests to GitHub a runner
//! costs, of which kind, and whether GitHub's limits are kept to. Measured by the world's clock, so the
//! machine counts for nothing.

use std::collections::BTreeMap;

use ledger::pool::{CredentialKind, Delivery};
use ledger::{Pool, PoolName};
use simulated::github::faults::RequestRecord;
use simulated::github::model::{MINUTE, Millis, SECOND};
use simulated::github::{JobSpec, RunSpec, Visibility};
use simulated::nomad;
use simulated::nomad::nodes::NodeSpec;

use crate::agenda::Act;
use crate::life::Shared;
use crate::play;
use crate::scenario::Plan;
use crate::story::Telling;
use crate::troubles::Weather;
use crate::world::World;

const REPOSITORIES: usize = 20;
/// By which all of it is over, with time to spare.
const SPAN: Millis = 60 * MINUTE;
/// GitHub's secondary limit ("Rate limits for the REST API"): a GET is one point, all else five.
const POINTS_A_MINUTE: u64 = 900;

/// What a burst came to.
pub struct Burst {
    pub runners: usize,
    /// Method and path, with names and numbers left out, and how many were made.
    pub requests: BTreeMap<String, usize>,
    pub refused: usize,
    pub points_a_minute: u64,
    /// From the burst to the last dispatch, and to the first.
    pub took: Millis,
    pub first: Millis,
}

pub fn burst(jobs: usize, credential: CredentialKind) -> Burst {
    // A seed with GitHub.
    let mut world = World::new(0, Telling::Nothing);
    world.weather = Weather::fair();
    world.set_stage();
    world.set_burst(jobs, credential);
    let began = world.now + MINUTE;
    let now = world.now;
    world.agenda.enter(now, Act::Start);
    world.agenda.enter(now, Act::Clock);
    world.agenda.enter(began, Act::Plan(Plan::Burst { jobs: jobs / REPOSITORIES }));
    world.agenda.enter(now + SPAN, Act::CalmDown);
    let shared = Shared::new(world);
    play::run(&shared).unwrap_or_else(|why| panic!("{why}"));
    shared.of_a_dead(|world| seen(world, began))
}

fn seen(world: &World, began: Millis) -> Burst {
    let dispatched: Vec<Millis> = world
        .nomad
        .lock()
        .events()
        .iter()
        .filter(|one| matches!(one.what, nomad::What::Dispatched { .. }))
        .map(|one| one.at)
        .collect();
    let last = dispatched.iter().copied().max().unwrap_or(began);
    let until = last + MINUTE;
    let made: Vec<&RequestRecord> =
        world.github.requests().iter().filter(|it| (began..until).contains(&it.at)).collect();
    let mut requests = BTreeMap::new();
    for one in &made {
        *requests.entry(kind(one)).or_default() += 1;
    }
    let points = |one: &&&RequestRecord| if one.method == "GET" { 1 } else { 5 };
    let minute = |at: Millis| {
        made.iter().filter(|it| (at - MINUTE..=at).contains(&it.at)).map(|it| points(&it)).sum()
    };
    Burst {
        runners: dispatched.len(),
        refused: made.iter().filter(|it| matches!(it.status, 403 | 429)).count(),
        points_a_minute: made.iter().map(|it| minute(it.at)).max().unwrap_or(0),
        took: last - began,
        first: dispatched.iter().copied().min().unwrap_or(began) - began,
        requests,
    }
}

fn kind(request: &RequestRecord) -> String {
    let path = request.path.trim_start_matches('/').split('/').skip(3);
    let path: Vec<&str> = path.filter(|part| part.parse::<u64>().is_err()).collect();
    format!("{} {}", request.method, path.join("/"))
}

impl World {
    fn set_burst(&mut self, jobs: usize, credential: CredentialKind) {
        let now = self.now;
        let room = u64::try_from(jobs).unwrap();
        self.nomad.lock().add_node("large", NodeSpec::with_room_for(room), now);
        for number in self.setting.repositories.len()..REPOSITORIES {
            let name = format!("octo/r{number}");
            let id = self.github.add_repository(&name, Visibility::Private, now);
            self.setting.repositories.push(id);
        }
        let most = u32::try_from(jobs).unwrap();
        let pool = Pool {
            credential,
            delivery: Delivery::Payload,
            name: PoolName::from("x64"),
            namespace: Some(crate::stage::NAMESPACE.to_owned()),
            max_runners: most,
            max_runners_per_repository: None,
            ..self.rules.pools[0].clone()
        };
        self.rules.max = most;
        self.rules.pools = vec![pool];
        self.config = self.rules.clone();
        self.register_parents();
    }

    /// So many jobs in each repository.
    pub fn push_burst(&mut self, jobs: usize) {
        for repository in self.setting.repositories.clone() {
            let job = |n| JobSpec::new(format!("job {n}"), &["linux", "x64"]).lasting(60 * SECOND);
            let jobs = (0..jobs).map(job).collect();
            self.github.add_run(repository, RunSpec::default(), jobs, self.now);
        }
    }
}

/// Another number with `ROUSTABOUT_SIMULATION_BURST=1000`, as `docs/benchmarks.md` shows it.
#[test]
fn a_burst_keeps_to_githubs_limits_whatever_its_runners_register_with() {
    let jobs = std::env::var("ROUSTABOUT_SIMULATION_BURST");
    let jobs = jobs.ok().and_then(|text| text.parse().ok()).unwrap_or(120);
    for credential in [CredentialKind::RegistrationToken, CredentialKind::Jit] {
        let Burst { runners, requests, refused, points_a_minute, took, first } =
            burst(jobs, credential);
        println!(
            "{credential:?}: {runners} runners for {jobs} jobs, first after {first} ms, all after {took} ms"
        );
        println!("  at most {points_a_minute} points a minute, {refused} refused");
        for (kind, count) in &requests {
            println!("  {count:>6}  {kind}");
        }
        assert_eq!(runners, jobs, "one runner a job");
        assert_eq!(refused, 0);
        assert!(points_a_minute <= POINTS_A_MINUTE, "{points_a_minute}");
        let minted = |what: &str| requests.get(what).copied().unwrap_or(0);
        let tokens = minted("POST actions/runners/registration-token");
        let jit = minted("POST actions/runners/generate-jitconfig");
        match credential {
            CredentialKind::RegistrationToken => {
                assert!(tokens <= 25, "{tokens}");
                assert_eq!(jit, 0);
            }
            CredentialKind::Jit => assert_eq!((tokens, jit), (0, jobs)),
        }
    }
}
