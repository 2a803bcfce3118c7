//! What sweeps and listings show, and what is ours and unknown.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::RunId;

const NAME: &str = "roustabout-x64-0123456789abc";
const LOOK: &str = "look at placement";

fn name() -> RunnerName {
    NAME.into()
}

fn found(scope: &str, repository: Option<Repository>) -> Found {
    Found {
        child: format!("child of {NAME}"),
        token: format!("{NAME}@{scope}"),
        parent: "github-runner-x64".into(),
        place: ci(),
        submitted_at: Time(1_800_000_000_000 - 60_000),
        phase: ChildPhase::Placed,
        asked_at: Time(1_800_000_000_000),
        nameless: false,
        repository: repository.map(Box::new),
    }
}

fn ci() -> NomadPlace {
    NomadPlace { namespace: "ci".into(), region: None }
}

fn ours() -> Found {
    found("octo/app", Some(repository(1, "octo/app")))
}

fn finds(ledger: &mut Ledger, found: Found) -> Effects {
    ledger.observes(Observation::Children(vec![found]))
}

/// Started without any rows; Nomad is listed, no sweep has been made.
fn forgotten() -> Ledger {
    let mut ledger = Ledger::new(20);
    let _ = ledger.step(children_seen(Vec::new()));
    let _ = ledger.minted(scope());
    ledger
}

fn listed(runner: &RunnerName, busy: bool) -> Vec<Registered> {
    vec![Registered { id: 7, name: runner.0.clone(), busy, online: true }]
}

#[test]
fn a_job_whose_webhook_never_came_is_hired_for() {
    let mut ledger = Ledger::ready(20);
    assert_eq!(words(&ledger.sweeps(vec![report(1, JobStatus::Queued)])), ["dispatch"]);
}

#[test]
fn who_was_heard_of_after_a_look_began_is_not_missing_in_it() {
    let mut ledger = Ledger::ready(20);
    let began = ledger.now;
    ledger.now = ledger.now + Duration::from_secs(1);
    let _ = ledger.hires(1);
    let swept = |began| Observation::Swept {
        repository: Box::new(repository(1, "octo/app")),
        reports: Vec::new(),
        began,
        unseen: BTreeSet::new(),
        cut: false,
    };
    assert!(words(&ledger.observes(swept(began))).is_empty());
    let now = ledger.now;
    assert_eq!(words(&ledger.observes(swept(now))), ["ask job 1"]);
}

#[test]
fn a_look_that_stopped_early_says_nothing_of_what_it_did_not_reach() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.hires(1);
    let run = ledger.state.jobs[&JobId(1)].report.run;
    let repository = || Box::new(repository(1, "octo/app"));
    for (unseen, cut) in [(BTreeSet::from([run]), false), (BTreeSet::new(), true)] {
        let (reports, began) = (Vec::new(), ledger.now);
        let swept = Observation::Swept { repository: repository(), reports, began, unseen, cut };
        assert!(words(&ledger.observes(swept)).is_empty());
    }
}

#[test]
fn of_many_that_a_sweep_lacks_so_many_are_asked_for_at_once_and_in_the_end_each_is() {
    let mut ledger = Ledger::ready(20);
    for job in 1..=100 {
        let _ = ledger.queued(job);
    }
    let mut asked = BTreeSet::new();
    for _ in 0..60 {
        let words = words(&ledger.sweeps(Vec::new()));
        let now: Vec<_> = words.iter().filter(|word| word.starts_with("ask job")).collect();
        assert_eq!(now.len(), 20);
        asked.extend(now.into_iter().cloned());
    }
    assert_eq!(asked.len(), 100);
}

#[test]
fn who_is_open_and_missing_in_a_sweep_is_asked_for_by_id() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.hires(1);
    let effects = ledger.sweeps(Vec::new());
    assert_eq!(words(&effects), ["ask job 1"]);
    assert!(ledger.state.jobs.contains_key(&JobId(1)), "absence moves nothing");
}

#[test]
fn a_sweep_that_tells_nothing_new_writes_nothing() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.queued(1);
    let _ = ledger.cancelled(2);
    let told = vec![report(1, JobStatus::Queued), report(2, JobStatus::Completed)];
    let effects = ledger.sweeps(told);
    assert!(
        effects.records.is_empty() && effects.requests.is_empty() && effects.happenings.is_empty()
    );
}

#[test]
fn a_job_that_ended_before_the_start_keeps_its_row() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.queued(1);
    let _ = ledger.cancelled(1);
    let _ = ledger.restart();
    let effects = ledger.sweeps(vec![report(1, JobStatus::Completed)]);
    assert!(effects.records.iter().all(|record| !matches!(record, Record::Job(_))));
    assert!(ledger.rows.jobs[&JobId(1)].delivery.is_some());
}

#[test]
fn a_job_that_ended_while_nobody_looked_leaves_demand() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.hires_at_nomad(1);
    assert_eq!(words(&ledger.sweeps(vec![report(1, JobStatus::Completed)])), [LOOK]);
    assert!(ledger.state.jobs.is_empty());
}

#[test]
fn a_job_that_ended_unknown_says_that_its_runner_had_it() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let done = report_by(50, JobStatus::Completed, &runner);
    let _ = ledger.sweeps(vec![report(1, JobStatus::Queued), done]);
    assert!(ledger.runner(&runner).took.unwrap().done);
}

#[test]
fn nobody_is_let_go_before_the_first_whole_sweep() {
    let mut ledger = forgotten();
    let runner = ledger.hires_at_nomad(1);
    assert!(words(&ledger.cancelled(1)).is_empty());
    assert!(ledger.runner(&runner).is_supply());
    assert_eq!(words(&ledger.observes(Observation::SweptAll)), [LOOK]);
}

#[test]
fn nobody_is_let_go_before_the_questions_about_forks_are_answered() {
    let mut ledger = forgotten();
    let _ = finds(&mut ledger, ours());
    let forkable = Box::new(Repository { forkable: true, ..repository(1, "octo/app") });
    let reports = vec![report(1, JobStatus::Queued)];
    let _ = ledger.observes(Observation::Swept {
        repository: forkable,
        reports,
        began: ledger.now,
        unseen: BTreeSet::new(),
        cut: false,
    });
    assert!(words(&ledger.observes(Observation::SweptAll)).is_empty());
    let answer = ledger.step(Event::RunKnown { run: RunId(1), answer: Ok(true.into()) });
    assert_eq!(words(&answer), [LOOK]);
}

#[test]
fn a_refused_sweep_counts_and_leaves_only_its_own_classes_alone() {
    let mut ledger = forgotten();
    let _ = ledger.minted(ScopeKey::Repository(RepositoryId(2)));
    let one = ledger.hires_at_nomad(1);
    let two =
        dispatched(&ledger.hears_of(repository(2, "octo/two"), report(201, JobStatus::Queued)))[0]
            .clone();
    let _ = ledger.accepted(&two);
    let _ = ledger.cancelled(1);
    let _ = ledger.hears_of(repository(2, "octo/two"), report(201, JobStatus::Completed));
    let _ = ledger.refuses_to_show("Octo/Two");
    let _ = ledger.observes(Observation::SweptAll);
    assert!(!ledger.runner(&one).is_supply());
    assert!(ledger.runner(&two).is_supply());
    let repository = Box::new(repository(2, "octo/two"));
    let effects = ledger.observes(Observation::Swept {
        repository,
        reports: Vec::new(),
        began: ledger.now,
        unseen: BTreeSet::new(),
        cut: false,
    });
    assert_eq!(words(&effects), [LOOK], "once GitHub shows it again");
}

#[test]
fn a_refusal_is_told_once() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.hires(1);
    assert_eq!(ledger.refuses_to_show("octo/app").happenings.len(), 1);
    assert!(ledger.refuses_to_show("octo/app").happenings.is_empty());
}

#[test]
fn a_child_that_is_ours_and_unknown_is_adopted_by_its_token() {
    let mut ledger = forgotten();
    let _ = ledger.queued(1);
    let _ = ledger.restart();
    let _ = ledger.minted(scope());
    let _ = finds(&mut ledger, ours());
    let runner = ledger.runner(&name());
    assert_eq!((runner.class.clone(), runner.state.clone()), (class(), RunnerState::Dispatched));
    assert_eq!(runner.place, Some(ci()));
    assert_eq!(runner.credential_ends, Some(runner.hired_at + 30 * MINUTE));
    assert!(ledger.rows.runners.contains_key(&name()), "it has a row from now on");
    let effects = ledger.step(children_seen(Vec::new()));
    assert!(words(&effects).is_empty(), "it is supply for job 1");
}

#[test]
fn an_adopted_runner_is_bound_by_the_time_of_its_submission() {
    let mut ledger = forgotten();
    let _ = ledger.queued(1);
    let waits = Found { phase: ChildPhase::NotPlaced, ..ours() };
    // Had it been known before the job, nobody else would be on the way.
    let _ = finds(&mut ledger, waits);
    let _ = ledger.queued(2);
    let _ = ledger.observes(Observation::SweptAll);
    let said = ledger.words_within(19 * MINUTE);
    assert!(said.contains(&LOOK.into()), "{said:?}");
}

#[test]
fn an_adopted_runner_that_nobody_needs_is_let_go_after_the_first_sweep() {
    let mut ledger = forgotten();
    assert!(words(&finds(&mut ledger, ours())).is_empty());
    assert_eq!(words(&ledger.observes(Observation::SweptAll)), [LOOK]);
}

#[test]
fn an_adopted_runner_that_a_job_at_work_names_is_followed_and_never_stopped() {
    for sweep_first in [true, false] {
        let mut ledger = forgotten();
        let at_work = vec![report_by(1, JobStatus::InProgress, &name())];
        if sweep_first {
            let _ = ledger.sweeps(at_work.clone());
        }
        let _ = finds(&mut ledger, ours());
        if !sweep_first {
            let _ = ledger.sweeps(at_work);
        }
        assert!(words(&ledger.observes(Observation::SweptAll)).is_empty());
        assert_eq!(ledger.runner(&name()).took.unwrap().job, Some(JobId(1)));
        let said = ledger.words_within(5 * HOUR);
        assert!(said.iter().all(|word| word == "ask job 1"), "{said:?}");
    }
}

#[test]
fn a_child_of_a_pool_that_is_gone_is_adopted_and_let_go() {
    let mut ledger = forgotten();
    let old = "roustabout-old-0123456789abc";
    let child = Found { token: format!("{old}@octo/app"), ..ours() };
    let _ = finds(&mut ledger, child);
    assert_eq!(ledger.runner(&old.into()).class.pool, "old".into());
    assert_eq!(words(&ledger.observes(Observation::SweptAll)), [LOOK]);
}

#[test]
fn a_child_of_a_repository_that_is_gone_is_adopted_and_let_go() {
    let mut ledger = forgotten();
    let _ = finds(&mut ledger, found("octo/gone", None));
    assert_eq!(words(&ledger.observes(Observation::SweptAll)), [LOOK]);
}

#[test]
fn a_child_of_a_repository_that_github_refuses_to_show_is_left_alone() {
    let mut ledger = forgotten();
    let _ = ledger.queued(1);
    let _ = ledger.cancelled(1);
    let _ = finds(&mut ledger, found("octo/app", None));
    let _ = ledger.refuses_to_show("octo/app");
    assert!(!words(&ledger.observes(Observation::SweptAll)).contains(&LOOK.into()));
    assert!(ledger.runner(&name()).is_supply());
}

#[test]
fn scope_and_run_of_an_adopted_child_are_those_of_its_token() {
    let mut ledger = forgotten();
    let _ = finds(&mut ledger, found("Octo#17", None));
    let class = ledger.runner(&name()).class.clone();
    assert_eq!(class.scope, ScopeKey::Organization("octo".into()));
    assert_eq!(class.run, Some(RunId(17)));
    assert_eq!(ledger.runner(&name()).idempotency_token(), format!("{NAME}@Octo#17"));
}

#[test]
fn what_is_not_of_our_form_is_not_adopted() {
    let mut ledger = forgotten();
    for token in ["nonsense", "roustabout-x64-short@octo/app", "other-x64-0123456789abc@octo/app"] {
        let _ = finds(&mut ledger, Found { token: token.into(), ..ours() });
    }
    assert!(ledger.state.runners.is_empty());
}

#[test]
fn a_known_name_is_not_adopted_again() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let before = ledger.runner(&runner).clone();
    let _ = finds(&mut ledger, Found { token: format!("{runner}@octo/app"), ..ours() });
    assert_eq!(*ledger.runner(&runner), before);
}

/// Its end was quicker than the listing that still showed it at work.
#[test]
fn a_child_whose_end_is_known_by_now_is_not_adopted() {
    let mut ledger = forgotten();
    let _ = finds(&mut ledger, ours());
    let asked_at = ledger.now;
    ledger.now = ledger.now + Duration::from_secs(1);
    let _ = ledger.child(&name(), ended());
    let _ = ledger.at_forge(&name(), AtForge::Nowhere);
    ledger.is_empty();
    let _ = finds(&mut ledger, Found { asked_at, ..ours() });
    ledger.is_empty();
    // Nomad has started it again since.
    ledger.now = ledger.now + Duration::from_secs(1);
    let asked_at = ledger.now;
    let _ = finds(&mut ledger, Found { asked_at, ..ours() });
    assert!(ledger.state.runners.contains_key(&name()));
}

#[test]
fn a_child_found_for_a_dispatch_in_doubt_is_its_answer() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.unknown(&runner);
    let token = format!("{runner}@octo/app");
    let _ = finds(&mut ledger, Found { token, nameless: true, ..ours() });
    assert_eq!(ledger.runner(&runner).state, RunnerState::Dispatched);
    assert!(ledger.runner(&runner).nameless);
    assert!(words(&ledger.looked_up(&runner, false)).is_empty(), "the older answer is late");
}

#[test]
fn a_nameless_child_that_is_placed_is_adopted_and_left_alone() {
    let mut ledger = forgotten();
    let _ = finds(&mut ledger, Found { nameless: true, ..ours() });
    assert_eq!(words(&ledger.observes(Observation::SweptAll)), [LOOK]);
    assert!(words(&ledger.placement(&name(), ChildPhase::Placed)).is_empty());
    let _ = ledger.child(&name(), ended());
    ledger.is_empty();
}

#[test]
fn a_listing_tells_who_is_registered_and_who_is_busy() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.lists(listed(&runner, false));
    assert_eq!(ledger.runner(&runner).state, RunnerState::Registered);
    assert_eq!(ledger.runner(&runner).github_id, Some(7));
    let effects = ledger.lists(listed(&runner, true));
    assert!(ledger.runner(&runner).took.is_some());
    assert_eq!(words(&effects), ["dispatch"], "job 1 waits, as far as we know");
}

#[test]
fn a_runner_that_is_registered_again_after_its_job_is_let_go() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.child(&runner, ChildPhase::Placed);
    let _ = ledger.at_work(1, &runner);
    let _ = ledger.done(1, &runner);
    assert_eq!(words(&ledger.lists(listed(&runner, true))), [""; 0], "it has a job again");
    assert_eq!(words(&ledger.lists(listed(&runner, false))), ["look at placement"]);
    assert_eq!(
        words(&ledger.placement(&runner, ChildPhase::Placed)),
        ["find at forge in octo/app"]
    );
    let gone = ledger.at_forge(&runner, AtForge::Nowhere);
    assert_eq!(words(&gone), [""; 0], "the listing was old: it is about to end");
    assert_eq!(ledger.runner(&runner).state, RunnerState::Dispatched);
    let _ = ledger.lists(listed(&runner, false));
    let _ = ledger.placement(&runner, ChildPhase::Placed);
    let found = ledger.at_forge(&runner, AtForge::Registered { id: 8, busy: false, online: true });
    assert_eq!(words(&found), ["delete registration 8"]);
}

#[test]
fn a_registration_of_ours_that_nobody_knows_is_deleted_once_all_was_seen() {
    let mut ledger = forgotten();
    assert!(words(&ledger.lists(listed(&name(), false))).is_empty(), "its child may be ours");
    let _ = ledger.observes(Observation::SweptAll);
    assert_eq!(words(&ledger.lists(listed(&name(), false))), ["delete stray 7"]);
}

#[test]
fn a_busy_registration_that_nobody_knows_and_a_strangers_are_left_alone() {
    let mut ledger = Ledger::ready(20);
    assert!(words(&ledger.lists(listed(&name(), true))).is_empty());
    assert!(words(&ledger.lists(listed(&"somebody-elses".into(), false))).is_empty());
}

#[test]
fn the_same_end_told_by_every_sweep_does_not_make_a_pool_work() {
    let mut ledger = Ledger::ready(20);
    let gone: RunnerName = "roustabout-x64-zzzzzzzzzzzzz".into();
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.child(&runner, ended());
    let _ = ledger.jobs_seen(&[&runner], vec![report(1, JobStatus::Queued)]);
    let old = report_by(2, JobStatus::Completed, &gone);
    let _ = ledger.sweeps(vec![report(1, JobStatus::Queued), old]);
    assert!(!ledger.state.breakers.is_empty());
    assert!(ledger.state.classes[&class()].held.contains(&JobId(1)));
}

#[test]
fn an_off_day_ends_with_every_queued_job_served_and_nothing_left() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    ledger.now = ledger.now + 24 * HOUR;
    let _ = ledger.restart();
    let _ = ledger.minted(scope());
    let effects = ledger.child(&runner, ended());
    assert_eq!(words(&effects), ["ask jobs after 1 ended"]);
    let _ = ledger.jobs_seen(&[&runner], vec![report_by(1, JobStatus::Completed, &runner)]);
    assert_eq!(words(&ledger.sweeps(vec![report(2, JobStatus::Queued)])), ["dispatch"]);
    let _ = ledger.observes(Observation::SweptAll);
    assert_eq!(ledger.state.runners.len(), 1);
}

#[test]
fn a_runner_that_is_listed_offline_is_told_as_that_until_it_is_not() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.step(children_seen(vec![(runner.clone(), ChildPhase::Placed)]));
    let target = || Target::Repository("octo/app".into());
    let listed = |online| vec![Registered { id: 7, name: runner.0.clone(), busy: false, online }];
    let _ = ledger.observes(Observation::Runners { target: target(), runners: listed(false) });
    assert_eq!(ledger.runner(&runner).offline, Some(ledger.now));
    assert!(ledger.waits().contains("listed it offline at"), "{}", ledger.waits());
    assert!(ledger.rows.runners[&runner].offline.is_some(), "it is in its row");
    let _ = ledger.observes(Observation::Runners { target: target(), runners: listed(true) });
    assert_eq!(ledger.waits(), "a runner is on the way");
}
