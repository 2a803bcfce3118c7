//! A reload: pools that are new, changed or gone while jobs wait and runners live.

use super::*;

fn with_pools(ledger: &mut Ledger, pools: Vec<Pool>) -> Effects {
    ledger.step(Event::Rules(Box::new(rules(20, pools))))
}

fn other() -> Vec<Pool> {
    vec![pool("other", &["windows"])]
}

#[test]
fn rules_that_say_the_same_ask_for_nothing() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let effects = with_pools(&mut ledger, vec![pool("x64", &["linux"])]);
    assert!(words(&effects).is_empty(), "{:?}", words(&effects));
    assert!(ledger.runner(&runner).is_supply());
}

#[test]
fn an_idle_runner_of_a_pool_that_is_gone_is_let_go() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    assert_eq!(words(&with_pools(&mut ledger, other())), ["look at placement"]);
    assert_eq!(words(&ledger.placement(&runner, ChildPhase::NotPlaced)), ["stop child"]);
    let _ = ledger.stopped(&runner);
    let _ = ledger.child(&runner, ChildPhase::Ended { how: "stopped".into(), placed: false });
    ledger.is_empty();
}

#[test]
fn a_registered_runner_of_a_pool_that_is_gone_loses_its_registration() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.child(&runner, ChildPhase::Placed);
    let _ = with_pools(&mut ledger, other());
    let _ = ledger.placement(&runner, ChildPhase::Placed);
    let registered = AtForge::Registered { id: 7, busy: false, online: true };
    assert_eq!(words(&ledger.at_forge(&runner, registered)), ["delete registration 7"]);
}

#[test]
fn a_busy_runner_of_a_pool_that_is_gone_is_followed_to_its_end() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.at_work(1, &runner);
    assert!(words(&with_pools(&mut ledger, other())).is_empty());
    assert!(ledger.words_within(4 * HOUR).is_empty(), "it is at work");
    let _ = ledger.done(1, &runner);
    let _ = ledger.child(&runner, ended());
    let _ = ledger.at_forge(&runner, AtForge::Nowhere);
    ledger.is_empty();
}

#[test]
fn a_dispatch_under_way_for_a_pool_that_is_gone_is_waited_for_and_withdrawn() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    assert!(words(&with_pools(&mut ledger, other())).is_empty());
    assert_eq!(words(&ledger.accepted(&runner)), ["look at placement"]);
}

#[test]
fn a_dispatch_in_doubt_for_a_pool_that_is_gone_is_not_sent_again() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = with_pools(&mut ledger, other());
    assert_eq!(words(&ledger.unknown(&runner)), ["find child"]);
    let _ = ledger.looked_up(&runner, false);
    let _ = ledger.at_forge(&runner, AtForge::Nowhere);
    ledger.is_empty();
}

#[test]
fn a_refused_dispatch_of_a_pool_that_is_gone_is_over() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = with_pools(&mut ledger, other());
    let _ = ledger.refused(&runner);
    ledger.is_empty();
}

#[test]
fn a_job_moves_to_the_pool_that_has_it_now() {
    let mut ledger = Ledger::ready(20);
    let before = ledger.hires_at_nomad(1);
    let effects = with_pools(&mut ledger, vec![pool("new", &["linux"])]);
    assert_eq!(words(&effects), ["look at placement", "dispatch"]);
    let after = dispatched(&effects).remove(0);
    assert_eq!(ledger.runner(&after).class.pool, "new".into());
    assert!(!ledger.runner(&before).is_supply());
}

#[test]
fn a_job_that_no_pool_had_is_served_when_one_has_it() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.hires(1);
    let _ = with_pools(&mut ledger, other());
    assert!(ledger.state.jobs.is_empty(), "nobody has it");
    let effects = with_pools(&mut ledger, vec![pool("x64", &["linux"])]);
    assert!(ledger.state.jobs.contains_key(&JobId(1)));
    assert!(words(&effects).is_empty(), "its runner is under way, and good for it again");
    let _ = with_pools(&mut ledger, other());
    let effects = with_pools(&mut ledger, vec![pool("new", &["linux"])]);
    assert_eq!(words(&effects), ["dispatch"]);
    assert!(ledger.rows.jobs[&JobId(1)].pool == Some("new".into()), "and its row says so");
}

#[test]
fn a_job_that_ended_while_no_pool_had_it_stays_so() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = with_pools(&mut ledger, other());
    let _ = ledger.cancelled(1);
    let _ = ledger.refused(&runner);
    assert!(words(&with_pools(&mut ledger, vec![pool("x64", &["linux"])])).is_empty());
    ledger.is_empty();
}

#[test]
fn a_policy_that_refuses_takes_the_job_out_of_demand_and_one_that_allows_brings_it_back() {
    let mut ledger = Ledger::ready(20);
    let mut public = repository(1, "octo/app");
    public.visibility = crate::Visibility::Public;
    let effects = ledger.hears_of(public, report(1, JobStatus::Queued));
    assert!(words(&effects).is_empty());
    let allowing = Pool { public_repositories: true, forks: true, ..pool("x64", &["linux"]) };
    let effects = with_pools(&mut ledger, vec![allowing]);
    let [runner] = &dispatched(&effects)[..] else { panic!("{:?}", words(&effects)) };
    let _ = ledger.accepted(runner);
    let effects = with_pools(&mut ledger, vec![pool("x64", &["linux"])]);
    assert_eq!(words(&effects), ["look at placement"]);
    assert!(ledger.waits().is_empty(), "it is no demand");
}

#[test]
fn a_higher_cap_hires_at_once_and_a_lower_one_lets_nobody_go() {
    let mut ledger = Ledger::ready(20);
    let capped = |cap| vec![Pool { max_runners: cap, ..pool("x64", &["linux"]) }];
    let _ = with_pools(&mut ledger, capped(1));
    let _ = ledger.hires_at_nomad(1);
    assert!(words(&ledger.queued(2)).is_empty());
    assert_eq!(words(&with_pools(&mut ledger, capped(2))), ["dispatch"]);
    assert!(words(&with_pools(&mut ledger, capped(1))).is_empty());
    assert_eq!(ledger.state.runners.alive(), 2);
}

#[test]
fn another_deadline_holds_for_runners_that_are_there() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.hires_at_nomad(1);
    let hasty = Pool { placement_timeout: MINUTE, ..pool("x64", &["linux"]) };
    let _ = with_pools(&mut ledger, vec![hasty]);
    assert!(ledger.words_within(2 * MINUTE).contains(&"look at placement".to_owned()));
}

#[test]
fn what_github_refused_is_tried_again_at_once() {
    let mut ledger = Ledger::new(20);
    let _ = ledger.step(children_seen(Vec::new()));
    assert_eq!(words(&ledger.queued(1)), ["mint for octo/app"]);
    let answer = Err(failure("401"));
    assert!(words(&ledger.step(Event::CredentialMinted { scope: scope(), answer })).is_empty());
    let effects = with_pools(&mut ledger, vec![pool("x64", &["linux"])]);
    assert_eq!(words(&effects), ["mint for octo/app"]);
}

#[test]
fn what_nomad_refused_is_tried_again_at_once() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.refused(&runner);
    assert!(ledger.waits().contains("no such job"));
    let renamed = Pool { nomad_job: "another".into(), ..pool("x64", &["linux"]) };
    assert_eq!(words(&with_pools(&mut ledger, vec![renamed])), ["dispatch"]);
    assert!(ledger.state.refusals.is_empty(), "that job has refused nothing");
}

#[test]
fn nomad_that_could_not_be_reached_is_tried_again_at_once() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let _ = ledger.not_sent(&runner);
    assert_eq!(words(&with_pools(&mut ledger, vec![pool("x64", &["linux"])])), ["dispatch"]);
}

#[test]
fn another_scope_is_another_class() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.hires_at_nomad(1);
    let organizations = Pool { scope: crate::ScopeKind::Organization, ..pool("x64", &["linux"]) };
    let effects = with_pools(&mut ledger, vec![organizations]);
    assert_eq!(words(&effects), ["look at placement", "mint for octo"]);
}

fn renamed() -> Vec<Pool> {
    vec![Pool { nomad_job: "another".into(), ..pool("x64", &["linux"]) }]
}

#[test]
fn what_nomad_has_no_place_for_is_launched_again_by_another_job() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.child(&runner, ChildPhase::NotPlaced);
    assert_eq!(words(&with_pools(&mut ledger, renamed())), ["look at placement", "dispatch"]);
    assert_eq!(words(&ledger.placement(&runner, ChildPhase::NotPlaced)), ["stop child"]);
}

#[test]
fn a_runner_that_is_placed_is_kept_whatever_its_pool_dispatches_now() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.child(&runner, ChildPhase::Placed);
    assert!(words(&with_pools(&mut ledger, renamed())).is_empty());
    assert!(ledger.runner(&runner).is_supply());
}

#[test]
fn other_labels_and_another_delivery_are_another_dispatch() {
    let labelled = pool("x64", &["linux", "x64"]);
    let by_meta = Pool { delivery: crate::pool::Delivery::Meta, ..pool("x64", &["linux"]) };
    for changed in [labelled, by_meta] {
        let mut ledger = Ledger::ready(20);
        let _ = ledger.hires_at_nomad(1);
        let asked = words(&with_pools(&mut ledger, vec![changed]));
        assert_eq!(asked, ["look at placement", "dispatch"]);
    }
}

#[test]
fn a_start_with_another_job_launches_again_what_nomad_has_no_place_for() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.restart_with(rules(20, renamed()));
    let _ = ledger.minted(scope());
    assert_eq!(
        words(&ledger.child(&runner, ChildPhase::NotPlaced)),
        ["look at placement", "dispatch"]
    );
}

#[test]
fn a_dispatch_under_way_that_is_placed_by_now_is_kept_after_a_reload() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    assert!(words(&with_pools(&mut ledger, renamed())).is_empty());
    let _ = ledger.accepted(&runner);
    assert!(words(&ledger.child(&runner, ChildPhase::Placed)).is_empty());
    assert!(ledger.runner(&runner).is_supply());
}
