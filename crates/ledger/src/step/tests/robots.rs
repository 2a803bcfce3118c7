//! Robots' jobs: a cap per repository that holds while people wait elsewhere.

use super::*;

fn law(max: u32, labels: &[&str]) -> Rules {
    rules(max, vec![Pool { robots_per_repository: Some(1), ..pool("x64", labels) }])
}

fn robot(id: u64) -> JobReport {
    JobReport { actor: Some("Dependabot[bot]".into()), ..report(id, JobStatus::Queued) }
}

fn two() -> ScopeKey {
    ScopeKey::Repository(RepositoryId(2))
}

fn of_two(ledger: &mut Ledger, id: u64) -> Effects {
    ledger.hears_of(repository(2, "octo/two"), report(id, JobStatus::Queued))
}

fn hired_in(ledger: &Ledger, number: u64) -> usize {
    let scope = ScopeKey::Repository(RepositoryId(number));
    ledger.state.runners.values().filter(|runner| runner.class.scope == scope).count()
}

#[test]
fn robots_use_all_the_room_while_nobody_else_wants_it() {
    let mut ledger = Ledger::with(law(4, &["linux"])).made_ready();
    for id in 1..=5 {
        let _ = ledger.hears(robot(id));
    }
    assert_eq!(hired_in(&ledger, 1), 4);
}

#[test]
fn robots_get_no_more_than_their_cap_while_people_wait_elsewhere() {
    let mut ledger = Ledger::with(law(1, &["linux"])).made_ready();
    let _ = ledger.minted(two());
    let mut runner = ledger.hires_at_nomad(90);
    for id in 1..=6 {
        let _ = ledger.hears(robot(id));
        let _ = of_two(&mut ledger, 200 + id);
    }
    ledger.state.rules.max = 5;
    let _ = ledger.at_work(90, &runner);
    runner = dispatched(&ledger.child(&runner, ended())).first().cloned().unwrap_or(runner);
    assert!(ledger.state.runners.contains_key(&runner));
    assert_eq!((hired_in(&ledger, 1), hired_in(&ledger, 2)), (2, 4));
    let robots = ledger.state.runners.values().filter(|r| r.is_supply()).collect::<Vec<_>>();
    assert_eq!(robots.iter().filter(|r| r.class.scope == scope()).count(), 1);
}

#[test]
fn robots_at_work_count_for_the_cap() {
    let mut ledger = Ledger::with(law(2, &["linux"])).made_ready();
    let _ = ledger.minted(two());
    let runner = dispatched(&ledger.hears(robot(1)))[0].clone();
    let _ = ledger.accepted(&runner);
    let _ = ledger.at_work(1, &runner);
    ledger.state.rules.max = 1;
    let _ = ledger.hears(robot(2));
    let _ = of_two(&mut ledger, 201);
    let _ = of_two(&mut ledger, 202);
    ledger.state.rules.max = 3;
    let effects = of_two(&mut ledger, 203);
    assert_eq!(words(&effects), ["dispatch", "dispatch"]);
    assert_eq!(hired_in(&ledger, 2), 2);
}

#[test]
fn a_repositorys_people_are_not_held_back_by_its_robots() {
    let mut ledger = Ledger::with(law(0, &["linux"])).made_ready();
    let _ = ledger.minted(two());
    for id in 1..=3 {
        let _ = ledger.hears(robot(id));
        let _ = ledger.queued(10 + id);
        let _ = of_two(&mut ledger, 200 + id);
    }
    ledger.state.rules.max = 7;
    let _ = of_two(&mut ledger, 204);
    assert_eq!((hired_in(&ledger, 1), hired_in(&ledger, 2)), (4, 3), "room for three and one");
}

#[test]
fn the_cap_is_the_repositorys_where_each_run_is_a_class() {
    let mut ledger = Ledger::with(law(0, &["linux", "run-{run_id}"])).made_ready();
    let _ = ledger.minted(two());
    let labelled = |report: JobReport| JobReport {
        labels: vec!["linux".into(), format!("run-{}", report.run)],
        ..report
    };
    for id in [100, 200, 300] {
        let _ = ledger.hears(labelled(robot(id)));
    }
    // A run of people after those of robots.
    let _ = ledger.hears(labelled(report(400, JobStatus::Queued)));
    for id in [500, 600] {
        let report = labelled(report(id, JobStatus::Queued));
        let _ = ledger.hears_of(repository(2, "octo/two"), report);
    }
    ledger.state.rules.max = 4;
    let _ = ledger.passes(MINUTE);
    let report = labelled(report(700, JobStatus::Queued));
    let _ = ledger.hears_of(repository(2, "octo/two"), report);
    assert_eq!((hired_in(&ledger, 1), hired_in(&ledger, 2)), (2, 2), "one robot, one human");
}

#[test]
fn robots_do_not_take_the_room_of_people_whose_token_is_on_its_way() {
    let mut ledger = Ledger::with(law(0, &["linux"])).made_ready();
    for id in 1..=4 {
        let _ = ledger.hears(robot(id));
    }
    ledger.state.rules.max = 4;
    assert_eq!(words(&of_two(&mut ledger, 201)), ["mint for octo/two", "dispatch"]);
    let _ = ledger.minted(two());
    assert_eq!((hired_in(&ledger, 1), hired_in(&ledger, 2)), (3, 1));
}

#[test]
fn who_cancels_a_job_has_not_caused_it() {
    let mut ledger = Ledger::with(law(4, &["linux"])).made_ready();
    let actor = Some("octocat".into());
    let _ = ledger.hears(JobReport { actor, ..report(1, JobStatus::Queued) });
    let _ = ledger.hears(JobReport { status: JobStatus::Waiting, ..robot(1) });
    assert!(!ledger.state.jobs[&JobId(1)].robot);
}
