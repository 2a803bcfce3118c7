//! Places of Nomad: one that is away, or does not show its children, holds back its own pools.

use super::*;

/// A runner that is let go is looked at first.
const LOOK: &str = "look at placement";

fn eu() -> NomadPlace {
    NomadPlace { region: Some("eu".into()), ..NomadPlace::default() }
}

fn away(trouble: NomadTrouble) -> Event {
    Event::NomadAway { place: eu(), trouble }
}

fn unreachable() -> Event {
    away(NomadTrouble::Unreachable("no path to region".into()))
}

fn shown() -> Event {
    Event::ChildrenSeen(Children { place: eu(), phases: Vec::new() })
}

/// Pool `eu` hires in region eu, pool `x64` where our agent is, which alone has shown its children.
fn ledger() -> Ledger {
    let there = Pool { region: Some("eu".into()), ..pool("eu", &["eu"]) };
    Ledger::with(rules(20, vec![pool("x64", &["linux"]), there])).made_ready()
}

fn of_eu() -> ClassKey {
    ClassKey { pool: "eu".into(), ..class() }
}

impl Ledger {
    fn queued_there(&mut self, id: u64) -> Effects {
        self.hears(JobReport { labels: vec!["eu".into()], ..report(id, JobStatus::Queued) })
    }

    fn waits_there(&self) -> String {
        crate::why::class_waits(&self.state, &of_eu(), self.now).unwrap_or_default()
    }
}

#[test]
fn a_place_that_has_not_shown_its_children_holds_back_its_own_pools() {
    let mut ledger = ledger();
    assert!(words(&ledger.queued_there(1)).is_empty());
    let why = "waiting for Nomad's first listing in region \"eu\" since the start";
    assert_eq!(ledger.waits_there(), why);
    assert_eq!(words(&ledger.queued(2)), ["dispatch"]);
    let _ = ledger.step(unreachable());
    let why = "Nomad in region \"eu\" is unreachable: no path to region";
    assert_eq!(ledger.waits_there(), why);
    let _ = ledger.step(away(NomadTrouble::Refuses("403".into())));
    let why = "Nomad in region \"eu\" does not list our children: 403";
    assert_eq!(ledger.waits_there(), why);
    assert_eq!(words(&ledger.queued(3)), ["dispatch"]);
    assert_eq!(words(&ledger.step(shown())), ["dispatch"]);
}

#[test]
fn a_place_that_goes_away_later_holds_back_its_own_pools_with_one_try_at_a_time() {
    let mut ledger = ledger();
    let _ = ledger.step(shown());
    let _ = ledger.step(unreachable());
    let _ = ledger.queued_there(1);
    assert!(words(&ledger.queued_there(2)).is_empty());
    assert_eq!(words(&ledger.queued(3)), ["dispatch"]);
    let tried = dispatched(&ledger.passes(Duration::from_secs(11)));
    assert_eq!(tried.len(), 1, "one tries");
    assert!(words(&ledger.not_sent(&tried[0])).is_empty());
    // What Nomad answers here says nothing of it there.
    let _ = ledger.step(children_seen(Vec::new()));
    let here = ledger.hires(4);
    assert!(words(&ledger.accepted(&here)).is_empty());
    assert!(ledger.waits_there().starts_with("Nomad in region \"eu\" is unreachable"));
    let tried = dispatched(&ledger.passes(Duration::from_secs(23)));
    assert_eq!(words(&ledger.accepted(&tried[0])), ["dispatch"]);
}

#[test]
fn nobody_is_let_go_where_the_children_are_not_shown_yet() {
    let mut ledger = ledger();
    let _ = ledger.step(shown());
    let effects = ledger.queued_there(1);
    let there = dispatched(&effects).remove(0);
    let _ = ledger.accepted(&there);
    let here = ledger.hires_at_nomad(2);
    let _ = ledger.restart();
    let _ = ledger.step(children_seen(Vec::new()));
    let _ = ledger.observes(Observation::SweptAll);
    let _ = ledger.cancelled(1);
    assert_eq!(words(&ledger.cancelled(2)), [LOOK], "{here} is let go");
    assert_eq!(ledger.runner(&there).state, RunnerState::Dispatched);
    assert_eq!(words(&ledger.step(shown())), [LOOK]);
}

#[test]
fn a_runner_that_may_be_a_childs_of_an_unlisted_place_is_no_stray() {
    let mut ledger = ledger();
    let _ = ledger.passes(Duration::from_secs(1));
    let of = |pool: &str| {
        let name = format!("roustabout-{pool}-0123456789abc");
        Registered { id: 7, name, busy: false, online: true }
    };
    assert_eq!(words(&ledger.lists(vec![of("eu"), of("x64")])), ["delete stray 7"]);
    let _ = ledger.step(shown());
    assert_eq!(words(&ledger.lists(vec![of("eu")])), ["delete stray 7"]);
}

/// What a config says by now of the place where everything is, and what was said of it before.
fn moved(namespace: &str) -> Rules {
    let nomad = NomadPlace { namespace: namespace.into(), region: None };
    Rules { nomad, ..rules(20, vec![pool("x64", &["linux"])]) }
}

fn place_of_request(effects: &Effects) -> Option<NomadPlace> {
    effects.requests.iter().find_map(|request| match request {
        Request::Dispatch(order) => Some(order.place.clone()),
        Request::LookAtPlacement { at, .. } | Request::StopChild { at, .. } => {
            Some(at.place.clone())
        }
        Request::FindChild { place, .. } => Some(place.clone()),
        _ => None,
    })
}

#[test]
fn a_runner_stays_where_it_was_dispatched_whatever_the_config_says_later() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let _ = ledger.child(&runner, ChildPhase::Placed);
    let own = NomadPlace::default();
    let _ = ledger.step(Event::Rules(Box::new(moved("ci"))));
    assert_eq!(ledger.state.rules.place_of_runner(ledger.runner(&runner)), own);
    let there = NomadPlace { namespace: "ci".into(), region: None };
    let _ = ledger.step(Event::ChildrenSeen(Children { place: there, phases: Vec::new() }));
    let effects = ledger.cancelled(1);
    assert_eq!(place_of_request(&effects), Some(own.clone()), "{:?}", words(&effects));
    let _ = ledger.restart_with(moved("other"));
    assert_eq!(ledger.state.rules.place_of_runner(ledger.runner(&runner)), own);
}

#[test]
fn a_region_that_is_named_later_is_not_where_runners_of_before_are() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires(1);
    let eu = Rules { nomad: eu(), ..rules(20, vec![pool("x64", &["linux"])]) };
    let _ = ledger.restart_with(eu);
    let effects = ledger.unknown(&runner);
    let asked = place_of_request(&effects).unwrap_or_default();
    assert_eq!(asked, NomadPlace::default(), "it asks where the dispatch went");
}

#[test]
fn a_row_of_an_earlier_version_is_resolved_when_it_is_read() {
    let mut ledger = Ledger::ready(20);
    let runner = ledger.hires_at_nomad(1);
    let row = ledger.rows.runners.get_mut(&runner).unwrap();
    (row.place, row.namespace) = (None, Some("old".into()));
    let old = NomadPlace { namespace: "old".into(), region: None };
    let _ = ledger.restart_with(moved("ci"));
    assert_eq!(ledger.runner(&runner).place, Some(old.clone()));
    let _ = ledger.step(Event::Rules(Box::new(Rules { nomad: eu(), ..moved("ci") })));
    assert_eq!(ledger.state.rules.place_of_runner(ledger.runner(&runner)), old);
}
