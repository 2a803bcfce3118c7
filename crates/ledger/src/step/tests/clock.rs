//! The machine's clock is set: nothing becomes due by it, and nothing waits longer.

use super::*;
use crate::state::Paused;

const TWO_DAYS: i64 = 2 * 24 * 3_600_000;

impl Ledger {
    fn jumps(&mut self, by: i64) -> Effects {
        self.now = self.now.moved(by);
        self.step(Event::ClockJumped { by })
    }
}

fn warned(effects: &Effects) -> Vec<String> {
    let told = effects.happenings.iter().filter(|it| it.what.is_warning());
    told.map(ToString::to_string).collect()
}

/// A registered runner, and a job of its class that waits.
fn idle_with_a_job(ledger: &mut Ledger) -> RunnerName {
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.child(&runner, ChildPhase::Placed);
    let registered = Registered { id: 5, name: runner.0.clone(), busy: false, online: true };
    let _ = ledger.lists(vec![registered]);
    runner
}

#[test]
fn an_idle_runner_stays_when_the_clock_is_set_right() {
    for by in [TWO_DAYS, -TWO_DAYS, 56 * 365 * 24 * 3_600_000] {
        let mut ledger = Ledger::ready(20);
        let runner = idle_with_a_job(&mut ledger);
        let told = ledger.jumps(by);
        assert!(warned(&told)[0].contains("the clock of this machine was set"), "{told:?}");
        assert!(words(&ledger.passes(MINUTE)).is_empty(), "nothing is due by it ({by} ms)");
        assert_eq!(ledger.runner(&runner).state, RunnerState::Registered);
        let said = ledger.words_within(HOUR);
        assert!(said.contains(&"look at placement".to_owned()), "{said:?}");
    }
}

#[test]
fn the_job_of_a_runner_that_ended_is_not_old_by_a_jump() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.jumps(TWO_DAYS);
    let _ = ledger.minted(scope());
    let _ = ledger.child(&runner, ended());
    let _ = ledger.jobs_seen(&[&runner], vec![report(1, JobStatus::Queued)]);
    let said = ledger.words_within(10 * MINUTE);
    assert!(said.contains(&"dispatch".to_owned()), "not an hour later: {said:?}");
}

#[test]
fn a_gate_opens_no_later_and_no_sooner_by_a_jump() {
    for by in [TWO_DAYS, -TWO_DAYS] {
        let mut ledger = Ledger::ready(20);
        let runner = ledger.hires(1);
        let _ = ledger.refused(&runner);
        let _ = ledger.jumps(by);
        let _ = ledger.minted(scope());
        assert!(words(&ledger.step(Event::Tick)).is_empty());
        assert_eq!(ledger.words_within(2 * MINUTE)[0], "dispatch", "{by}");
    }
}

#[test]
fn a_pause_lasts_as_long_as_was_said() {
    for by in [TWO_DAYS, -TWO_DAYS] {
        let mut ledger = Ledger::ready(20);
        let until = Some(ledger.now + HOUR);
        let _ = ledger.step(Event::Pause { pool: "x64".into(), until });
        let effects = ledger.jumps(by);
        let moved = effects.records.iter().any(|record| {
            matches!(record, Record::Pause { until: Some(Some(at)), .. } if *at == ledger.now + HOUR)
        });
        assert!(moved, "its row moves too");
        let _ = ledger.passes(HOUR - MINUTE);
        assert!(!ledger.state.pauses.is_empty());
        let _ = ledger.passes(MINUTE);
        assert!(ledger.state.pauses.is_empty());
    }
}

#[test]
fn a_token_of_before_is_not_handed_out() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.jumps(-TWO_DAYS);
    assert_eq!(words(&ledger.queued(1)), ["mint for octo/app"]);
}

#[test]
fn a_small_step_is_not_told_and_writes_nothing() {
    let mut ledger = Ledger::ready(20);
    let _ = ledger.hires_at_nomad(1);
    let effects = ledger.jumps(3_000);
    assert!(effects.happenings.is_empty() && effects.records.is_empty(), "{effects:?}");
}

#[test]
fn a_start_in_1970_believes_no_row_that_is_of_the_future() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.child(&runner, ChildPhase::Placed);
    let real = ledger.now;
    ledger.now = Time(60_000);
    let _ = ledger.restart();
    let _ = ledger.step(children_seen(vec![(runner.clone(), ChildPhase::Placed)]));
    let _ = ledger.observes(Observation::SweptAll);
    let said = ledger.words_within(HOUR);
    assert!(said.iter().any(|word| word.starts_with("find at forge")), "it boots late: {said:?}");
    let _ = ledger.jumps(real.0 - ledger.now.0);
    assert!(ledger.runner(&runner).hired_at <= ledger.now);
    assert!(ledger.now.since(ledger.runner(&runner).hired_at) < 2 * HOUR);
    let row = &ledger.rows.runners[&runner];
    assert_eq!(row.hired_at, ledger.runner(&runner).hired_at, "a restart reads the right one");
}

#[test]
fn a_webhook_that_the_door_dated_ahead_is_of_now() {
    let mut ledger = Ledger::ready(20);
    let webhook = Webhook {
        delivery: "ahead".into(),
        received_at: ledger.now.moved(TWO_DAYS),
        repository: repository(1, "octo/app"),
        report: Some(report(1, JobStatus::Queued)),
        past: None,
    };
    let _ = ledger.step(Event::Webhook(Box::new(webhook)));
    assert_eq!(ledger.state.jobs[&JobId(1)].received_at, ledger.now);
}

#[test]
fn whoever_says_to_come_back_tomorrow_is_asked_after_an_hour() {
    let mut ledger = Ledger::new(20);
    let _ = ledger.step(children_seen(Vec::new()));
    let _ = ledger.queued(1);
    let retry_after = Some(Duration::from_secs(2 * 24 * 3600));
    let answer = Err(Failure { reason: "held back".into(), retry_after });
    let _ = ledger.step(Event::CredentialMinted { scope: scope(), answer });
    assert!(ledger.words_within(HOUR).is_empty());
    assert_eq!(ledger.words_within(10 * MINUTE), ["mint for octo/app"]);
}

#[test]
fn a_pause_of_a_clock_that_was_ahead_lasts_no_longer_than_was_said() {
    let now = Time(1_800_000_000_000);
    let said = |since: Time| Paused { since: Some(since), until: Some(since + HOUR) };
    assert_eq!(said(now.moved(TWO_DAYS)).until_as_of(now), Some(now + HOUR));
    let minute_ago = now.moved(-60_000);
    assert_eq!(said(minute_ago).until_as_of(now), Some(minute_ago + HOUR));
    let old_row = Paused { since: None, until: Some(now + HOUR) };
    assert_eq!(old_row.until_as_of(now), Some(now + HOUR));
    assert_eq!(Paused { since: Some(now), until: None }.until_as_of(now), None);
}
