//! Plays seeds: silently, and once more with its story where a promise is broken.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::life::{self, Shared};
use crate::scenario;
use crate::story::Telling;
use crate::world::World;

/// How many broken seeds are named before the rest is left alone.
const ENOUGH: usize = 10;

/// Plays so many seeds, names those that break a promise, and tells the first one's story.
pub fn many(from: u64, count: u64) {
    let (began, next) = (Instant::now(), AtomicU64::new(from));
    let broken = Mutex::new(BTreeMap::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let mut found = broken.lock().unwrap();
                    if seed >= from + count || found.len() >= ENOUGH {
                        return;
                    }
                    drop(found);
                    if let Err(why) = silently(seed) {
                        found = broken.lock().unwrap();
                        found.insert(seed, why);
                    }
                }
            });
        }
    });
    println!("{count} seeds in {:.1} s", began.elapsed().as_secs_f64());
    let broken = broken.into_inner().unwrap();
    let Some(seed) = broken.keys().next().copied() else { return };
    let (story, why) = told(seed);
    let why = why.err().unwrap_or_else(|| "not when it is told".to_owned());
    let short = |why: &String| why.lines().next().unwrap_or_default().chars().take(200).collect();
    let list: Vec<String> = broken
        .iter()
        .map(|(seed, why)| {
            let why: String = short(why);
            format!("seed {seed}: {why}")
        })
        .collect();
    let (name, list) = (crate::SEED, list.join("\n"));
    panic!(
        "{story}seed {seed}: {why}\n\nbroken, of {count}:\n{list}\n\n\
         play one again: {name}={seed} cargo test --test simulation"
    );
}

fn silently(seed: u64) -> Result<(), String> {
    play(seed, Telling::Nothing).1
}

/// The seed's story, and which promise it breaks.
pub fn told(seed: u64) -> (String, Result<(), String>) {
    let requests = std::env::var_os(crate::REQUESTS).is_some();
    play(seed, if requests { Telling::Requests } else { Telling::Events })
}

pub fn play(seed: u64, telling: Telling) -> (String, Result<(), String>) {
    let mut world = World::new(seed, telling);
    scenario::set(&mut world);
    let shared = Shared::new(world);
    let played = catch_unwind(AssertUnwindSafe(|| run(&shared)));
    let outcome = played.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("it panics: {}", text.unwrap_or_default()))
    });
    let story = shared.of_a_dead(|world| world.story.to_string());
    (story, outcome)
}

/// Lets everything happen, until all is quiet or a promise is broken.
pub fn run(shared: &Shared) -> Result<(), String> {
    loop {
        let (verdict, lives) = shared.of_a_dead(|world| {
            world.go_on();
            if world.daemon.is_none() && world.verdict().is_none() {
                world.skip_to_next();
            }
            (world.verdict(), world.daemon.is_some())
        });
        if let Some(verdict) = verdict {
            return verdict;
        }
        if lives {
            life::live(shared);
        }
    }
}
