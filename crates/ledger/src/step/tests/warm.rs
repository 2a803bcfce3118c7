//! Warm runners: a floor of idle supply that has the last place in everything.

use jiff::tz::TimeZone;

use super::*;
use crate::pool::CredentialKind;
use crate::{Happened, Release, Schedule, ScopeKind, Visibility, Warm, WarmSupply, work};

const SECOND: Duration = Duration::from_secs(1);

fn floor(count: u32, of: &str) -> Warm {
    Warm { count, of: vec![of.to_owned()], schedule: None }
}

fn warm_pool(count: u32) -> Pool {
    Pool { warm: vec![floor(count, "octo/app")], ..pool("x64", &["linux"]) }
}

/// Repository 1 is known, Nomad listed; what is launched is launched.
fn ledger_of(max: u32, pools: Vec<Pool>) -> Ledger {
    let mut ledger = Ledger::with(rules(max, pools)).made_ready();
    let _ = ledger.sweeps(Vec::new());
    ledger
}

fn names(ledger: &Ledger) -> Vec<RunnerName> {
    ledger.state.runners.values().filter(|it| it.is_supply()).map(|it| it.name.clone()).collect()
}

/// One warm runner, registered and idle.
fn idle_one(max: u32, pools: Vec<Pool>) -> (Ledger, RunnerName) {
    let mut ledger = ledger_of(max, pools);
    let [name] = &names(&ledger)[..] else { panic!("{:?}", ledger.state.runners) };
    let name = name.clone();
    registers(&mut ledger, &name);
    (ledger, name)
}

fn registers(ledger: &mut Ledger, name: &RunnerName) {
    let _ = ledger.accepted(name);
    let _ = ledger.child(name, ChildPhase::Placed);
    let _ =
        ledger.lists(vec![Registered { id: 7, name: name.0.clone(), busy: false, online: true }]);
}

/// It is released, deleted, and its child ends.
fn leaves(ledger: &mut Ledger, name: &RunnerName) -> Effects {
    let _ = ledger.placement(name, ChildPhase::Placed);
    let _ = ledger.at_forge(name, AtForge::Registered { id: 7, busy: false, online: true });
    let _ = ledger.deleted(name, Deletion::NoNewJob);
    ledger.child(name, ended())
}

fn told(effects: &Effects) -> Vec<&'static str> {
    effects.happenings.iter().map(|it| it.what.name()).collect()
}

fn another(id: u64) -> JobReport {
    JobReport { labels: vec!["arm".into()], ..report(id, JobStatus::Queued) }
}

fn two_pools(max: u32) -> Ledger {
    let mut ledger = ledger_of(max, vec![warm_pool(1), pool("arm", &["arm"])]);
    let [name] = &names(&ledger)[..] else { panic!("{:?}", ledger.state.runners) };
    registers(&mut ledger, &name.clone());
    ledger
}

#[test]
fn a_floor_is_launched_for_nobodys_job() {
    let mut ledger = Ledger::with(rules(20, vec![warm_pool(2)])).made_ready();
    assert!(names(&ledger).is_empty(), "nobody has shown the repository yet");
    let effects = ledger.sweeps(Vec::new());
    assert_eq!(dispatched(&effects).len(), 2);
    assert_eq!(told(&effects), ["runner.launched_warm"; 2]);
    let order = effects.requests.iter().find_map(|request| match request {
        Request::Dispatch(order) => Some(order),
        _ => None,
    });
    let order = order.unwrap();
    assert!(order.cause.is_none());
    assert_eq!(order.runner_url, "https://github.com/octo/app");
    assert_eq!(ledger.state.warm_supply(&"x64".into()), WarmSupply { asked: 2, idle: 0 });
    assert!(dispatched(&ledger.passes(HOUR)).is_empty(), "and no more");
}

#[test]
fn one_that_is_taken_is_replaced_and_the_jobs_end_leaves_the_floor() {
    let (mut ledger, first) = idle_one(20, vec![warm_pool(1)]);
    assert_eq!(ledger.state.warm_supply(&"x64".into()), WarmSupply { asked: 1, idle: 1 });
    let effects = ledger.queued(100);
    let [second] = &dispatched(&effects)[..] else { panic!("{:?}", words(&effects)) };
    assert_eq!(told(&effects).last(), Some(&"runner.launched_warm"), "the job has the first");
    let _ = ledger.accepted(second);
    assert!(dispatched(&ledger.at_work(100, &first)).is_empty(), "it is replaced already");
    let _ = ledger.done(100, &first);
    let _ = ledger.child(&first, ended());
    assert_eq!(names(&ledger), std::slice::from_ref(second));
}

#[test]
fn what_a_cancelled_job_leaves_over_the_floor_is_let_go() {
    let (mut ledger, first) = idle_one(20, vec![warm_pool(1)]);
    let second = ledger.hires_at_nomad(100);
    let effects = ledger.cancelled(100);
    assert_eq!(words(&effects), ["look at placement"]);
    assert!(ledger.runner(&first).is_supply() && !ledger.runner(&second).is_supply());
}

#[test]
fn idle_time_is_none_of_a_warm_runners_faults() {
    let (mut ledger, first) = idle_one(20, vec![warm_pool(1)]);
    assert!(ledger.words_within(5 * HOUR).is_empty());
    // A job that comes then has its idle_timeout before the runner is at fault.
    let _ = ledger.queued(100);
    let _ = ledger.words_within(9 * MINUTE);
    assert!(ledger.runner(&first).is_supply());
    let _ = ledger.words_within(2 * MINUTE);
    assert!(!ledger.runner(&first).is_supply(), "no job within idle_timeout although one waits");
}

#[test]
fn one_that_has_started_is_looked_for_until_it_has_registered() {
    let mut ledger = ledger_of(20, vec![warm_pool(1)]);
    let name = names(&ledger)[0].clone();
    let _ = ledger.accepted(&name);
    let _ = ledger.child(&name, ChildPhase::Placed);
    assert_eq!(ledger.words_within(10 * SECOND), ["find at forge in octo/app"]);
    let _ = ledger.at_forge(&name, AtForge::Nowhere);
    assert_eq!(ledger.words_within(10 * SECOND), ["find at forge in octo/app"]);
    let _ = ledger.at_forge(&name, AtForge::Registered { id: 7, busy: false, online: true });
    assert_eq!(ledger.state.warm_supply(&"x64".into()), WarmSupply { asked: 1, idle: 1 });
    // One that does not boot is still stopped in time, and counts.
    let mut ledger = ledger_of(20, vec![warm_pool(1)]);
    let name = names(&ledger)[0].clone();
    let _ = ledger.accepted(&name);
    let _ = ledger.child(&name, ChildPhase::Placed);
    let (mut looks, mut stopped) = (0, false);
    for _ in 0..11 * 60 {
        let asked = ledger.words_within(SECOND);
        looks += asked.iter().filter(|it| it.starts_with("find")).count();
        if asked.iter().any(|it| it.starts_with("find")) {
            let effects = ledger.at_forge(&name, AtForge::Nowhere);
            stopped |= words(&effects).contains(&"stop child".to_owned());
        }
    }
    assert!(stopped && (8..16).contains(&looks), "{looks} looks");
}

#[test]
fn one_that_is_looked_for_when_its_floor_ends_is_still_late_one_day() {
    let mut ledger = ledger_of(20, vec![warm_pool(1)]);
    let name = names(&ledger)[0].clone();
    let _ = ledger.accepted(&name);
    let _ = ledger.child(&name, ChildPhase::Placed);
    assert_eq!(ledger.words_within(10 * SECOND), ["find at forge in octo/app"]);
    // A job takes its place in the class before the answer comes.
    let _ = ledger.queued(100);
    let _ = ledger.step(Event::Rules(Box::new(rules(20, vec![pool("x64", &["linux"])]))));
    let _ = ledger.at_forge(&name, AtForge::Nowhere);
    let asked = ledger.words_within(10 * MINUTE);
    assert!(asked.iter().any(|it| it.starts_with("find")), "{asked:?}");
}

#[test]
fn one_that_is_too_old_is_replaced_without_a_warning() {
    let (mut ledger, first) = idle_one(20, vec![warm_pool(1)]);
    let _ = ledger.words_within(5 * HOUR);
    let effects = ledger.passes(HOUR);
    assert!(effects.happenings.iter().all(|it| !it.what.is_warning()), "{:?}", told(&effects));
    assert_eq!(dispatched(&ledger.minted(scope())).len(), 1);
    assert!(!ledger.runner(&first).is_supply());
}

#[test]
fn it_gives_way_to_a_job_that_the_common_cap_keeps_waiting() {
    let mut ledger = two_pools(1);
    let first = names(&ledger)[0].clone();
    let effects = ledger.hears(another(100));
    let gone = Happened::RunnerReleased { why: Release::GivesWay };
    assert!(effects.happenings.iter().any(|it| it.what == gone), "{:?}", told(&effects));
    let key = ClassKey { pool: "arm".into(), scope: scope(), run: None };
    let why = crate::why::class_waits(&ledger.state, &key, ledger.now).unwrap();
    assert!(why.ends_with("a warm runner is being released for the jobs that wait"), "{why}");
    let effects = leaves(&mut ledger, &first);
    let [next] = &dispatched(&effects)[..] else { panic!("{:?}", words(&effects)) };
    assert_eq!(ledger.runner(next).class, key, "the job has its room");
    // And the floor comes back when there is room again.
    let _ = ledger.accepted(next);
    let done = |status| JobReport { labels: vec!["arm".into()], ..report_by(100, status, next) };
    let _ = ledger.hears(done(JobStatus::Completed));
    let effects = ledger.child(next, ended());
    assert_eq!(told(&effects).last(), Some(&"runner.launched_warm"));
}

#[test]
fn it_gives_way_once_for_each_job_that_waits() {
    let mut ledger = ledger_of(3, vec![warm_pool(3), pool("arm", &["arm"])]);
    for name in names(&ledger) {
        registers(&mut ledger, &name);
    }
    let _ = ledger.hears(another(100));
    assert_eq!(names(&ledger).len(), 2);
    let _ = ledger.passes(MINUTE);
    assert_eq!(names(&ledger).len(), 2, "one is on its way out");
    let _ = ledger.hears(another(101));
    assert_eq!(names(&ledger).len(), 1);
}

#[test]
fn it_gives_way_to_another_repository_of_its_pool() {
    let one = Pool { max_runners: 1, ..warm_pool(1) };
    let (mut ledger, first) = idle_one(20, vec![one]);
    let _ = ledger.minted(ScopeKey::Repository(RepositoryId(2)));
    let _ = ledger.hears_of(repository(2, "octo/two"), report(100, JobStatus::Queued));
    let effects = leaves(&mut ledger, &first);
    let [next] = &dispatched(&effects)[..] else { panic!("{:?}", words(&effects)) };
    assert_eq!(ledger.runner(next).class.scope, ScopeKey::Repository(RepositoryId(2)));
}

#[test]
fn it_gives_way_although_another_pool_has_more_jobs_than_there_may_be_runners() {
    let one = Pool { max_runners: 1, ..warm_pool(1) };
    let busy = Pool { max_runners: 1, ..pool("arm", &["arm"]) };
    let (mut ledger, first) = idle_one(3, vec![one, busy]);
    for id in 200..210 {
        for runner in dispatched(&ledger.hears(another(id))) {
            let _ = ledger.accepted(&runner);
        }
    }
    assert!(ledger.runner(&first).is_supply(), "it has no room that they could use");
    let _ = ledger.minted(ScopeKey::Repository(RepositoryId(2)));
    let _ = ledger.hears_of(repository(2, "octo/two"), report(100, JobStatus::Queued));
    assert!(!ledger.runner(&first).is_supply(), "the job of its own pool waits behind theirs");
}

#[test]
fn it_gives_its_place_in_nomad_to_a_job_of_its_pool() {
    let (mut ledger, first) = idle_one(20, vec![warm_pool(1), pool("arm", &["arm"])]);
    let two = ScopeKey::Repository(RepositoryId(2));
    let _ = ledger.minted(two.clone());
    // What another pool lacks may be of another kind.
    let effects = ledger.hears(another(200));
    let arm = dispatched(&effects)[0].clone();
    let _ = ledger.accepted(&arm);
    let effects = ledger.hears_of(repository(2, "octo/two"), report(100, JobStatus::Queued));
    let name = dispatched(&effects)[0].clone();
    let _ = ledger.accepted(&name);
    let why = || Some("1 node: 1 lacks memory".to_owned());
    let _ = ledger.step(Event::ChildrenHeldUp(vec![(arm, why())]));
    assert!(ledger.runner(&first).is_supply());
    let effects = ledger.step(Event::ChildrenHeldUp(vec![(name.clone(), why())]));
    assert!(told(&effects).contains(&"runner.released"), "{:?}", told(&effects));
    assert!(!ledger.runner(&first).is_supply());
    let effects = leaves(&mut ledger, &first);
    assert!(dispatched(&effects).is_empty(), "it would take the place again");
    let effects = ledger.child(&name, ChildPhase::Placed);
    assert_eq!(told(&effects).last(), Some(&"runner.launched_warm"));
}

#[test]
fn it_keeps_its_place_where_it_is_in_nobodys_way() {
    // The other pool is full by its own cap, paused, or its scope is.
    let full = Pool { max_runners: 1, ..pool("arm", &["arm"]) };
    let mut ledger = ledger_of(2, vec![warm_pool(1), full]);
    let first = names(&ledger)[0].clone();
    registers(&mut ledger, &first);
    let _ = ledger.hears(another(100));
    let _ = ledger.hears(another(101));
    assert!(ledger.runner(&first).is_supply());
    let mut ledger = two_pools(1);
    let _ = ledger.step(Event::Pause { pool: "arm".into(), until: None });
    let _ = ledger.hears(another(100));
    assert_eq!(names(&ledger).len(), 1);
    let _ = ledger.step(Event::Resume { pool: "arm".into() });
    assert!(names(&ledger).is_empty(), "now it is");
}

#[test]
fn room_that_a_job_is_about_to_use_is_not_warmed() {
    // Its token is on its way.
    let mut ledger = Ledger::with(rules(1, vec![warm_pool(1), pool("arm", &["arm"])]));
    let _ = ledger.step(children_seen(Vec::new()));
    let _ = ledger.observes(Observation::SweptAll);
    let two = repository(2, "octo/two");
    let _ = ledger.hears_of(two, another(100));
    let _ = ledger.sweeps(Vec::new());
    let _ = ledger.minted(scope());
    assert!(names(&ledger).is_empty());
    let effects = ledger.minted(ScopeKey::Repository(RepositoryId(2)));
    assert_eq!(told(&effects), ["runner.launched"]);
}

#[test]
fn a_run_is_asked_about_although_warm_runners_have_all_room() {
    let choosy = Pool { actors: crate::Patterns::new(&["*", "!eve"]), ..pool("arm", &["arm"]) };
    let mut ledger = ledger_of(1, vec![warm_pool(1), choosy]);
    let first = names(&ledger)[0].clone();
    registers(&mut ledger, &first);
    assert_eq!(words(&ledger.hears(another(100))), ["ask about run 2"]);
}

#[test]
fn the_floor_follows_its_schedule() {
    let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let schedule = Schedule::new([true; 7], 8 * 60, 18 * 60, berlin);
    let warm = Warm { schedule, ..floor(1, "octo/app") };
    let one = Pool { warm: vec![warm], max_lifetime: 24 * HOUR, ..pool("x64", &["linux"]) };
    let (mut ledger, first) = idle_one(20, vec![one]);
    // 2027-01-15 08:00 UTC is 9 o'clock there.
    let _ = ledger.words_within(8 * HOUR + 59 * MINUTE);
    assert_eq!(names(&ledger).len(), 1);
    let _ = ledger.words_within(MINUTE);
    assert!(names(&ledger).is_empty(), "it is 18 o'clock");
    let _ = leaves(&mut ledger, &first);
    ledger.is_empty();
    let _ = ledger.words_within(14 * HOUR - MINUTE);
    assert!(names(&ledger).is_empty());
    let _ = ledger.words_within(MINUTE);
    let _ = ledger.minted(scope());
    assert_eq!(names(&ledger).len(), 1, "and 8 o'clock again");
}

#[test]
fn of_two_floors_at_once_the_higher_holds() {
    let two = vec![floor(1, "octo/app"), floor(2, "Octo/App")];
    let ledger = ledger_of(20, vec![Pool { warm: two, ..pool("x64", &["linux"]) }]);
    assert_eq!(names(&ledger).len(), 2);
}

#[test]
fn a_clock_that_is_set_is_followed() {
    let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let schedule = Schedule::new([true; 7], 8 * 60, 18 * 60, berlin);
    let warm = Warm { schedule, ..floor(1, "octo/app") };
    let mut ledger = ledger_of(20, vec![Pool { warm: vec![warm], ..pool("x64", &["linux"]) }]);
    let first = names(&ledger)[0].clone();
    registers(&mut ledger, &first);
    let by = 10 * 3_600_000;
    ledger.now = ledger.now.moved(by);
    let _ = ledger.step(Event::ClockJumped { by });
    assert!(names(&ledger).is_empty());
}

#[test]
fn one_that_the_forge_removes_while_it_is_idle_is_replaced_at_once() {
    for credential in [CredentialKind::Jit, CredentialKind::RegistrationToken] {
        let one = Pool { credential, ..warm_pool(1) };
        let mut ledger = ledger_of(20, vec![one]);
        let name = names(&ledger)[0].clone();
        if credential == CredentialKind::Jit {
            let outcome = crate::event::MintOutcome::Registered { id: 7 };
            let _ = ledger.step(Event::MintedFor { runner: name.clone(), outcome });
        }
        registers(&mut ledger, &name);
        let effects = ledger.child(&name, ended());
        assert_eq!(words(&effects), ["ask jobs after 1 ended"]);
        let answer = JobsOfRuns { removed: vec![name.clone()], ..JobsOfRuns::default() };
        let effects =
            ledger.step(Event::JobsSeen { class: class(), names: vec![name], answer: Ok(answer) });
        assert!(told(&effects).contains(&"runner.launched_warm"), "{:?}", told(&effects));
        assert!(ledger.state.breakers.is_empty());
    }
}

#[test]
fn runners_that_fail_for_nobodys_job_are_tried_ever_more_seldom() {
    let mut ledger = ledger_of(20, vec![warm_pool(1)]);
    let mut launched = 0;
    for _ in 0..3 * 60 {
        for name in names(&ledger) {
            launched += 1;
            let _ = ledger.accepted(&name);
            let _ = ledger.child(&name, ended());
            let _ = ledger.at_forge(&name, AtForge::Nowhere);
        }
        let _ = ledger.passes(MINUTE);
        let _ = ledger.minted(scope());
    }
    assert!((5..40).contains(&launched), "{launched} in three hours");
    let short = ledger.state.short_of_warm(ledger.now);
    assert!(short[0].contains("ended in a row without a job, last: "), "{short:?}");
    // One that gets a job ends that.
    let _ = ledger.words_within(HOUR);
    let name = names(&ledger)[0].clone();
    registers(&mut ledger, &name);
    let _ = ledger.queued(100);
    let _ = ledger.at_work(100, &name);
    assert!(ledger.state.breakers.is_empty());
    assert!(ledger.state.short_of_warm(ledger.now).is_empty());
    let _ = ledger.minted(scope());
    assert_eq!(names(&ledger).len(), 1);
}

#[test]
fn a_restart_keeps_those_that_are_warm() {
    let (mut ledger, first) = idle_one(1, vec![warm_pool(1)]);
    let _ = ledger.restart();
    let _ = ledger.step(children_seen(vec![(first.clone(), ChildPhase::Placed)]));
    let _ = ledger.observes(Observation::SweptAll);
    assert_eq!(names(&ledger), [first]);
}

#[test]
fn nobody_is_kept_warm_for_what_the_pool_refuses() {
    let mut ledger = Ledger::with(rules(20, vec![warm_pool(1)])).made_ready();
    let told = ledger.state.not_warmed();
    assert_eq!(
        told,
        ["no warm runner of pool x64 for octo/app: GitHub shows no repository of that name"]
    );
    let public = Repository { visibility: Visibility::Public, ..repository(1, "octo/app") };
    let job = JobReport { labels: vec!["windows".into()], ..report(100, JobStatus::Queued) };
    let _ = ledger.hears_of(public.clone(), job.clone());
    assert!(names(&ledger).is_empty());
    assert!(
        ledger.state.not_warmed()[0].ends_with("it is public, and public_repositories is false")
    );
    let (mut ledger, _) = idle_one(20, vec![warm_pool(1)]);
    let _ = ledger.hears_of(public, job);
    assert!(names(&ledger).is_empty(), "it has turned public");
}

#[test]
fn nobody_is_launched_for_a_repository_that_cannot_be_looked_at() {
    let mut ledger = ledger_of(20, vec![warm_pool(1)]);
    let name = names(&ledger)[0].clone();
    let _ = ledger.accepted(&name);
    let _ = ledger.refuses_to_show("octo/app");
    let _ = ledger.child(&name, ended());
    let _ = ledger.at_forge(&name, AtForge::Nowhere);
    let _ = ledger.passes(HOUR);
    let _ = ledger.minted(scope());
    assert!(names(&ledger).is_empty(), "{:?}", names(&ledger));
    assert!(ledger.state.not_warmed()[0].ends_with("GitHub does not let it be looked at"));
    let _ = ledger.sweeps(Vec::new());
    let _ = ledger.passes(MINUTE);
    assert_eq!(names(&ledger).len(), 1);
}

#[test]
fn one_that_is_idle_is_let_go_where_its_repository_cannot_be_looked_at() {
    let (mut ledger, first) = idle_one(20, vec![warm_pool(1)]);
    let effects = ledger.refuses_to_show("octo/app");
    assert!(told(&effects).contains(&"runner.released"), "{:?}", told(&effects));
    assert!(!ledger.runner(&first).is_supply());
    // One that has not registered may be for a job that nobody can see.
    let mut ledger = ledger_of(20, vec![warm_pool(1)]);
    let name = names(&ledger)[0].clone();
    let _ = ledger.accepted(&name);
    let _ = ledger.child(&name, ChildPhase::Placed);
    let _ = ledger.refuses_to_show("octo/app");
    assert!(ledger.runner(&name).is_supply());
}

#[test]
fn a_reload_changes_the_floor() {
    let (mut ledger, first) = idle_one(20, vec![warm_pool(1)]);
    let _ = ledger.step(Event::Rules(Box::new(rules(20, vec![warm_pool(2)]))));
    assert_eq!(names(&ledger).len(), 2);
    let _ = ledger.step(Event::Rules(Box::new(rules(20, vec![pool("x64", &["linux"])]))));
    assert!(names(&ledger).is_empty(), "{:?}", ledger.runner(&first));
}

#[test]
fn an_organization_is_warmed_once_a_repository_of_it_is_known() {
    let org = Pool {
        scope: ScopeKind::Organization,
        warm: vec![floor(1, "octo")],
        ..pool("x64", &["linux"])
    };
    let mut ledger = Ledger::with(rules(20, vec![org]));
    let _ = ledger.step(children_seen(Vec::new()));
    let _ = ledger.minted(ScopeKey::Organization("octo".into()));
    let effects = ledger.sweeps(Vec::new());
    let order = effects.requests.iter().find_map(|request| match request {
        Request::Dispatch(order) => Some(order),
        _ => None,
    });
    assert_eq!(order.unwrap().runner_url, "https://github.com/octo");
}

#[test]
fn an_event_costs_no_more_where_runners_are_warm() {
    let mut ledger = ledger_of(20, vec![warm_pool(5), pool("arm", &["arm"])]);
    for id in 100..2_100 {
        let effects = match id % 2 {
            0 => ledger.queued(id),
            _ => ledger.hears(another(id)),
        };
        assert!(work::done() <= 400, "{}", work::done());
        for runner in dispatched(&effects) {
            let _ = ledger.accepted(&runner);
        }
    }
}
