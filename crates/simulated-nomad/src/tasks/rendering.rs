//! A task's templates become files, or variables of its environment. One that needs a Nomad
//! Variable waits until there is one.
//!
//! The language itself is in `template/`. (Nomad `client/allocrunner/taskrunner/template`.)

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::allocation::Shared;
use super::environment::Environment;
use super::group::{Task, Template};
use super::servers::VariableAsked;
use super::supervise::in_go;
use super::template::{self, Delimiters, Known, Rendered};
use super::vault::VaultToken;
use super::{envfile, folder};
use crate::task_events::TaskEvent;

/// What is missing is told of after this.
const TELL_AFTER: Duration = Duration::from_secs(3);
/// How often it is looked whether one that is rendered is another one by now.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How often it is looked for what is missing.
const LOOK_EVERY: Duration = Duration::from_millis(300);

#[derive(Debug)]
pub(super) enum Trouble {
    Escapes,
    Fails(String),
    /// They are no variables of an environment.
    BadVariables(String),
}

/// The templates of a task, as they were rendered last.
#[derive(Clone, Debug, Default)]
pub(super) struct Made {
    /// What they put into the environment.
    pub variables: BTreeMap<String, String>,
    texts: Vec<String>,
    /// One of them may be another one later.
    pub changes: bool,
}

/// What becomes of the task when a template or an identity is another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    Nothing,
    Signal(String),
    Restart,
}

/// Renders all templates, once nothing is missing.
///
/// # Errors
/// Where one of them never can be rendered.
pub(super) async fn render(
    shared: &Shared,
    task: &Task,
    environment: &Environment,
    vault: Option<&VaultToken>,
) -> Result<Made, Trouble> {
    let all = task.templates.as_deref().unwrap_or_default();
    for one in all {
        place(shared, task, environment, one)?;
    }
    let mut made = wait_for_all(shared, task, environment, vault, all).await?;
    for (one, text) in all.iter().zip(&made.texts) {
        made.variables.extend(put(shared, task, environment, one, text)?);
    }
    Ok(made)
}

/// Waits until a template is another one, and says what is to become of the task.
pub(super) async fn changed(
    shared: &Shared,
    task: &Task,
    environment: &Environment,
    vault: Option<&VaultToken>,
    made: &mut Made,
) -> Change {
    let all = task.templates.as_deref().unwrap_or_default();
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        let mut change = None;
        for (one, text) in all.iter().zip(&mut made.texts) {
            let rendered = one_of(shared, task, environment, vault, one).await.unwrap_or_default();
            let is_whole = rendered.missing.is_empty() && !rendered.used.is_empty();
            if one.once == Some(true) || !is_whole || rendered.text == *text {
                continue;
            }
            let Ok(more) = put(shared, task, environment, one, &rendered.text) else { continue };
            made.variables.extend(more);
            *text = rendered.text;
            change = change.max(Some(match one.change_mode.as_deref() {
                Some("noop" | "script") => Change::Nothing,
                Some("signal") => Change::Signal(one.change_signal.clone().unwrap_or_default()),
                _ => Change::Restart,
            }));
        }
        if let Some(change) = change {
            return change;
        }
    }
}

fn place(
    shared: &Shared,
    task: &Task,
    environment: &Environment,
    one: &Template,
) -> Result<PathBuf, Trouble> {
    let path = environment.fill_in(&one.dest_path);
    shared.folder.inside(&shared.folder.task(&task.name), &path).ok_or(Trouble::Escapes)
}

/// Writes the file, and says what of it goes into the environment.
fn put(
    shared: &Shared,
    task: &Task,
    environment: &Environment,
    one: &Template,
    text: &str,
) -> Result<BTreeMap<String, String>, Trouble> {
    let path = place(shared, task, environment, one)?;
    let mode = one.perms.as_deref().and_then(|text| u32::from_str_radix(text, 8).ok());
    folder::write(&path, text.as_bytes(), mode.unwrap_or(0o644))
        .map_err(|error| Trouble::Fails(in_go(&error)))?;
    if !one.goes_into_the_environment() {
        return Ok(BTreeMap::new());
    }
    envfile::parse(text).map_err(|why| {
        let path = path.display().to_string();
        Trouble::BadVariables(format!("error parsing env template {path:?}: {why}"))
    })
}

/// All of them, once nothing is missing any more.
async fn wait_for_all(
    shared: &Shared,
    task: &Task,
    environment: &Environment,
    vault: Option<&VaultToken>,
    all: &[Template],
) -> Result<Made, Trouble> {
    let begun = Instant::now();
    let mut told = (BTreeSet::new(), BTreeSet::new());
    loop {
        let (mut missing, mut missing_entries) = (BTreeSet::new(), BTreeSet::new());
        let mut made = Made::default();
        for one in all {
            let rendered = one_of(shared, task, environment, vault, one).await?;
            missing.extend(rendered.missing);
            missing_entries.extend(rendered.missing_entries);
            made.changes |= !rendered.used.is_empty() && one.once != Some(true);
            made.texts.push(rendered.text);
        }
        if missing.is_empty() && missing_entries.is_empty() {
            return Ok(made);
        }
        let all_missing = (missing, missing_entries);
        if begun.elapsed() >= TELL_AFTER && all_missing != told {
            let (missing, missing_entries) = &all_missing;
            let (namespace, region) = (&shared.assignment.namespace, &shared.site().region);
            let block = |path: &String| format!("nomad.var.block({path}@{namespace}.{region})");
            let read = |path: &String| format!("vault.read({path})");
            let names: Vec<String> =
                missing.iter().map(block).chain(missing_entries.iter().map(read)).collect();
            let what = format!("Missing: {}", names.join(", "));
            shared.record(&task.name, TaskEvent::template(&what));
            told = all_missing;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn one_of(
    shared: &Shared,
    task: &Task,
    environment: &Environment,
    vault: Option<&VaultToken>,
    one: &Template,
) -> Result<Rendered, Trouble> {
    let text = match (&one.embedded_tmpl, &one.source_path) {
        (Some(text), _) if !text.is_empty() => text.clone(),
        (_, Some(path)) if !path.is_empty() => {
            let path = environment.fill_in(path);
            let base = shared.folder.task(&task.name);
            let path = shared.folder.inside(&base, &path).ok_or(Trouble::Escapes)?;
            fs::read_to_string(&path).map_err(|error| {
                Trouble::Fails(format!("open {}: {}", path.display(), in_go(&error)))
            })?
        }
        _ => String::new(),
    };
    let mut delimiters = Delimiters::default();
    if let Some(left) = one.left_delim.clone().filter(|it| !it.is_empty()) {
        delimiters.left = left;
    }
    if let Some(right) = one.right_delim.clone().filter(|it| !it.is_empty()) {
        delimiters.right = right;
    }
    let mut known = Known { environment: Some(&environment.variables), ..Known::default() };
    loop {
        let rendered = template::render(&text, &delimiters, &known).map_err(Trouble::Fails)?;
        if rendered.wanted.is_empty() && rendered.wanted_entries.is_empty() {
            return Ok(rendered);
        }
        for path in rendered.wanted_entries {
            let found = match vault {
                Some(token) => token.read(&path).await,
                None => None,
            };
            known.entries.insert(path, found);
        }
        for path in rendered.wanted {
            let asked = VariableAsked {
                namespace: shared.assignment.namespace.clone(),
                path: path.clone(),
                allocation: shared.assignment.allocation.clone(),
                task: task.name.clone(),
            };
            // Nomad retries what it may not read or cannot reach, as what is not there.
            let found = shared.server().variable(asked).await.unwrap_or_default();
            known.variables.insert(path, found);
        }
    }
}
