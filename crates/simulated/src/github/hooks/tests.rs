//! The rules of delivery: signatures, GUIDs, faults, the log.
//! In the model alone: no server, time is a number.

use super::sending::{sign, sign_with_sha1};
use super::*;
use crate::github::model::DAY;
use crate::github::model::tests::World;

fn header<'a>(delivery: &'a Delivery, name: &str) -> Option<&'a str> {
    let found = delivery.headers.iter().find(|(one, _)| one == name);
    found.map(|(_, value)| value.as_str())
}

fn spec() -> HookSpec {
    HookSpec::new("http://127.0.0.1:9/webhook", "It's a Secret to Everybody")
}

#[test]
fn signs_as_the_docs_example_says() {
    assert_eq!(
        sign("It's a Secret to Everybody", "Hello, World!"),
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    );
    // RFC 2202, test case 2.
    assert_eq!(
        sign_with_sha1("Jefe", "what do ya want for nothing?"),
        "sha1=effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
    );
}

#[test]
fn a_new_hook_gets_a_ping() {
    let mut world = World::new();
    let hook = world.gh.add_hook(world.scope, spec(), 0);
    let ping = world.gh.take_deliveries(0).remove(0);
    assert_eq!(header(&ping, "X-GitHub-Event"), Some("ping"));
    let body: serde_json::Value = serde_json::from_str(&ping.body).unwrap();
    assert_eq!(body["hook_id"], hook);
    assert_eq!(body["repository"]["full_name"], "octocat/app");
    let signature = sign("It's a Secret to Everybody", &ping.body);
    assert_eq!(header(&ping, "X-Hub-Signature-256"), Some(signature.as_str()));
}

#[test]
fn one_guid_for_all_hooks_of_an_event() {
    let mut world = World::new();
    let organization = world.gh.add_organization("octo", &[]);
    world.repository = world.gh.add_repository("octo/app", crate::github::Visibility::Private, 0);
    let hooks = [
        world.gh.add_hook(Scope::Repository(world.repository), spec(), 0),
        world.gh.add_hook(Scope::Organization(organization), spec(), 0),
    ];
    world.gh.take_deliveries(0);
    world.job("build", &["x64"], 1);
    let sent = world.gh.take_deliveries(1);
    assert_eq!(sent.iter().map(|one| one.hook).collect::<Vec<_>>(), hooks);
    assert_eq!(sent[0].guid, sent[1].guid);
    let target = header(&sent[1], "X-GitHub-Hook-Installation-Target-Type");
    assert_eq!(target, Some("organization"));
}

#[test]
fn the_form_is_signed_as_it_is_sent_and_without_a_secret_nothing_is() {
    let mut world = World::new();
    let form = HookSpec { content_type: ContentType::Form, ..spec() };
    world.gh.add_hook(world.scope, form, 0);
    world.gh.add_hook(world.scope, HookSpec { secret: None, ..spec() }, 0);
    let sent = world.gh.take_deliveries(0);
    assert!(sent[0].body.starts_with("payload=%7B"));
    let signature = sign("It's a Secret to Everybody", &sent[0].body);
    assert_eq!(header(&sent[0], "X-Hub-Signature-256"), Some(signature.as_str()));
    assert_eq!(header(&sent[1], "X-Hub-Signature-256"), None);
}

#[test]
fn deliveries_are_lost_doubled_and_late_on_order() {
    let mut world = World::new();
    world.gh.add_hook(world.scope, spec(), 0);
    world.gh.take_deliveries(0);
    world.gh.delivery_faults.drop = 1.0;
    world.job("lost", &["x64"], 0);
    assert!(world.gh.take_deliveries(DAY).is_empty());
    world.gh.delivery_faults = DeliveryFaults { duplicate: 1.0, ..DeliveryFaults::default() };
    world.job("doubled", &["x64"], 0);
    let sent = world.gh.take_deliveries(0);
    assert_eq!((sent.len(), &sent[0].guid), (2, &sent[1].guid));
    world.gh.delivery_faults = DeliveryFaults { delay: (10, 10_000), ..DeliveryFaults::default() };
    for n in 0..20 {
        world.job(&format!("late {n}"), &["x64"], 0);
    }
    assert!(world.gh.take_deliveries(9).is_empty());
    let late = world.gh.take_deliveries(10_000);
    assert_eq!(late.len(), 20);
    assert!(!late.is_sorted_by_key(|one| one.id), "they overtake each other");
}

#[test]
fn a_failed_delivery_is_sent_again_with_its_guid_and_forgotten_after_three_days() {
    let mut world = World::new();
    let hook = world.gh.add_hook(world.scope, spec(), 0);
    let first = world.gh.take_deliveries(0).remove(0);
    let outcome = Outcome { status_code: Some(503), ..Outcome::default() };
    world.gh.delivered(first.clone(), outcome, 5);
    assert_eq!(world.gh.deliveries(hook)[0].status(), "Invalid HTTP Response: 503");
    assert!(world.gh.redeliver(hook, first.id, 6));
    let again = world.gh.take_deliveries(6).remove(0);
    assert!(again.redelivery && again.guid == first.guid && again.id != first.id);
    assert_eq!(again.body, first.body);
    world.gh.tick(3 * DAY + 5);
    assert!(world.gh.deliveries(hook).is_empty());
}
