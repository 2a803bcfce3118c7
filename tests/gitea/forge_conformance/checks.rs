//! The list: what each question of the seam must come to.

use std::time::Duration;

use roustabout::forge::{Kind, ListMemory, LookMemory, Round, Which};
use roustabout::ledger::effect::Target;
use roustabout::ledger::event::Deletion;
use roustabout::ledger::{JobId, JobReport, JobStatus, RunnerName, Time, Visibility};
use secrecy::ExposeSecret;

use crate::forge_conformance::stage::{APP, LABELS, OWN, Stage};
use crate::support::until;

const LIMIT: Duration = Duration::from_secs(60);
const LIFE: Duration = Duration::from_secs(25 * 60);

fn app() -> Target {
    Target::Repository(APP.to_owned())
}

async fn job(stage: &impl Stage, job: JobId) -> JobReport {
    stage.forge().job(APP, job, false).await.unwrap().expect("there is such a job")
}

async fn until_it_is(stage: &impl Stage, id: JobId, status: JobStatus) -> JobReport {
    until(&format!("job {id} is {status:?}"), LIMIT, async || {
        job(stage, id).await.status == status
    })
    .await;
    job(stage, id).await
}

pub async fn it_answers_a_probe(stage: &impl Stage) {
    stage.forge().probe().await.unwrap();
}

pub async fn a_credential_lives_long_enough_and_is_a_secret(stage: &impl Stage) {
    for target in [app(), Target::Organization("octo".to_owned())] {
        let token = stage.forge().mint(&target, LIFE).await.unwrap();
        assert!(token.ends >= Time::from(jiff::Timestamp::now()) + LIFE);
        assert!(!token.secret.expose_secret().is_empty());
        assert!(!format!("{token:?}").contains(token.secret.expose_secret()));
    }
}

pub async fn what_the_credential_may_not_is_told_apart(stage: &impl Stage) {
    let nowhere = Target::Repository("octo/nowhere".to_owned());
    let error = stage.forge().mint(&nowhere, LIFE).await.unwrap_err();
    assert!(error.refuses() && error.kind == Kind::NotFound, "{error:?}");
    assert!(error.to_string().contains("octo/nowhere exist"), "{error}");
    let error = stage.forge().job("octo/nowhere", JobId(1), false).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotFound, "a job is not gone with what cannot be seen");
    let wrong = stage.with_a_wrong_token();
    let error = wrong.mint(&app(), LIFE).await.unwrap_err();
    assert!(error.is_trouble() && error.kind == Kind::Unauthorized, "{error:?}");
}

pub async fn the_credentials_repositories_are_listed(stage: &impl Stage) {
    let listed = stage.forge().repositories(&mut ListMemory::default()).await.unwrap();
    let owned = |name: &str| {
        let found = listed.iter().find(|listed| listed.full_name == name);
        found.map(|listed| listed.owned_by_organization)
    };
    assert_eq!((owned(APP), owned(OWN)), (Some(true), Some(false)), "{listed:?}");
}

pub async fn a_repository_is_told_as_it_is(stage: &impl Stage) {
    let found = stage.forge().repository(APP).await.unwrap();
    assert_eq!((found.full_name.as_str(), found.visibility), (APP, Visibility::Private));
    assert!(found.owned_by_organization && found.html_url.ends_with(APP), "{found:?}");
    let own = stage.forge().repository("OWNER/Own").await.unwrap();
    assert_eq!((own.full_name.as_str(), own.visibility), (OWN, Visibility::Public));
    assert!(!own.owned_by_organization);
    assert_eq!(stage.forge().repository("octo/no").await.unwrap_err().kind, Kind::NotFound);
}

pub async fn a_look_shows_what_waits_and_who_caused_it(stage: &mut impl Stage) {
    let (mut memory, mut other) = (LookMemory::default(), LookMemory::default());
    let before = Time::from(jiff::Timestamp::now());
    let (run, id) = stage.push().await;
    // Twice, for what has not changed must be known as well.
    for _ in 0..2 {
        let round = Round::default();
        let look = stage.forge().look(APP, &mut memory, &round).await.unwrap();
        assert!(look.began >= before && look.repository.full_name == APP);
        let seen = look.reports.iter().find(|report| report.id == id).unwrap();
        assert_eq!((seen.run, seen.status), (run, JobStatus::Queued));
        assert_eq!(seen.labels, LABELS);
        assert_eq!(seen.actor.as_deref(), Some(stage.actor()));
        let details = seen.details.as_deref().expect("a look says more than it decides by");
        assert!(details.head_sha.is_some() && details.run.number.is_some(), "{details:?}");
        assert_eq!(details.run.event.as_deref(), Some("push"));
        assert!(details.run.workflow_path.as_deref().unwrap().ends_with("ci.yml"), "{details:?}");
        assert_eq!((details.started_at, details.completed_at), (None, None));
        assert_eq!((&seen.runner_name, &seen.conclusion), (&None, &None));
        let elsewhere = stage.forge().look(OWN, &mut other, &round).await.unwrap();
        assert!(elsewhere.reports.is_empty(), "{elsewhere:?}");
    }
    stage.cancel(run).await;
    until_it_is(stage, id, JobStatus::Completed).await;
    let look = stage.forge().look(APP, &mut memory, &Round::default()).await.unwrap();
    let open = |report: &JobReport| report.status != JobStatus::Completed;
    assert!(!look.reports.iter().any(open), "{look:?}");
    let error = stage
        .forge()
        .look("octo/nowhere", &mut LookMemory::default(), &Round::default())
        .await
        .unwrap_err();
    assert!(error.refuses(), "{error:?}");
}

pub async fn jobs_are_known_by_id_and_by_run(stage: &mut impl Stage) {
    let (run, id) = stage.push().await;
    let one = job(stage, id).await;
    let of_run = stage.forge().jobs_of_run(APP, run).await.unwrap();
    assert_eq!(of_run, std::slice::from_ref(&one));
    assert_eq!((one.id, one.run, one.status), (id, run, JobStatus::Queued));
    assert!(one.created_at.is_some() && one.url.is_some(), "{one:?}");
    assert_eq!(stage.forge().job(APP, JobId(4_000_000_000), false).await.unwrap(), None);
    let told = stage.forge().told(APP, Which::Job(id)).await.unwrap();
    assert_eq!((told[0].status.as_str(), told[0].over), ("queued", false));
    assert_eq!(stage.forge().told(APP, Which::Run(run)).await.unwrap(), told);
    stage.cancel(run).await;
    until_it_is(stage, id, JobStatus::Completed).await;
}

pub async fn why_nothing_was_heard_is_told_in_words(stage: &mut impl Stage) {
    let repository = stage.forge().repository(APP).await.unwrap();
    let why = stage.forge().why_unheard(&repository, "/webhook").await;
    assert_eq!(why, "neither octo/app nor octo has an active webhook for jobs");
    stage.add_hook("http://127.0.0.1:9/webhook").await;
    let why = stage.forge().why_unheard(&repository, "/webhook").await;
    let begins = "octo/app has a webhook for jobs (to http://127.0.0.1:9/webhook)";
    assert!(why.starts_with(begins), "{why}");
}

pub async fn an_idle_runner_is_found_by_name_and_taken_away(stage: &mut impl Stage) {
    let name = RunnerName::from("roustabout-x64-idle");
    stage.register(name.as_str()).await;
    let found = stage.forge().runner(&app(), &name).await.unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.busy), (name.as_str(), false));
    let mut memory = ListMemory::default();
    for _ in 0..2 {
        let listed = stage.forge().runners(&app(), &mut memory).await.unwrap();
        assert_eq!(listed, std::slice::from_ref(&found));
    }
    let other = RunnerName::from("roustabout-x64-idl");
    assert_eq!(stage.forge().runner(&app(), &other).await.unwrap(), None);
    for _ in 0..2 {
        let deleted = stage.forge().delete_runner(&app(), found.id).await.unwrap();
        assert_eq!(deleted, Deletion::NoNewJob);
        assert_eq!(stage.forge().runner(&app(), &name).await.unwrap(), None);
    }
    assert!(stage.forge().runners(&app(), &mut memory).await.unwrap().is_empty());
}

pub async fn a_runner_at_work_is_named_by_its_job_and_not_taken_away(stage: &mut impl Stage) {
    let name = RunnerName::from("roustabout-x64-busy");
    let (run, id) = stage.push().await;
    stage.register(name.as_str()).await;
    stage.work().await;
    let running = until_it_is(stage, id, JobStatus::InProgress).await;
    assert_eq!(running.runner_name.as_deref(), Some(name.as_str()));
    let found = stage.forge().runner(&app(), &name).await.unwrap().unwrap();
    let named = stage.forge().running_job(APP, &name).await.unwrap().unwrap();
    assert_eq!((named.id, named.run), (id, run));
    let mut memory = ListMemory::default();
    until("its listing says that it is busy", LIMIT, async || {
        let listed = stage.forge().runners(&app(), &mut memory).await.unwrap();
        listed.iter().any(|runner| runner.name == name.as_str() && runner.busy)
    })
    .await;
    let other = RunnerName::from("roustabout-x64-other");
    assert_eq!(stage.forge().running_job(APP, &other).await.unwrap(), None);

    let deleted = stage.forge().delete_runner(&app(), found.id).await.unwrap();
    assert_eq!(deleted, Deletion::Busy);
    let still = stage.forge().runner(&app(), &name).await.unwrap();
    assert_eq!(still.map(|runner| runner.id), Some(found.id));
    stage.finish().await;
    let ended = until_it_is(stage, id, JobStatus::Completed).await;
    assert_eq!(ended.conclusion.as_deref(), Some("success"), "its job was not disturbed");
    assert_eq!(ended.runner_name.as_deref(), Some(name.as_str()), "although its runner is gone");
    until("the registration went with the job", LIMIT, async || {
        stage.forge().runner(&app(), &name).await.unwrap().is_none()
    })
    .await;
    assert_eq!(stage.forge().delete_runner(&app(), found.id).await.unwrap(), Deletion::NoNewJob);
}

pub async fn a_rerun_is_a_new_job_or_the_same_one_again(stage: &mut impl Stage) {
    let (run, id) = stage.push().await;
    stage.register("roustabout-x64-first").await;
    stage.work().await;
    stage.finish().await;
    let ended = until_it_is(stage, id, JobStatus::Completed).await;
    stage.rerun(run).await;
    let again = stage.forge().jobs_of_run(APP, run).await.unwrap().remove(0);
    assert_eq!(again.status, JobStatus::Queued);
    assert_eq!(again.id == id, stage.reruns_keep_ids());
    let first = job(stage, id).await;
    if stage.reruns_keep_ids() {
        // The attempt counts only once a runner has taken it.
        assert_eq!((first.status, first.run_attempt), (JobStatus::Queued, ended.run_attempt));
        assert_eq!(first.runner_name, None);
    } else {
        assert_eq!(first.status, JobStatus::Completed);
        assert!(again.run_attempt > ended.run_attempt);
    }
    stage.cancel(run).await;
    until_it_is(stage, again.id, JobStatus::Completed).await;
}

pub async fn a_cancelled_job_ends_without_a_runner(stage: &mut impl Stage) {
    let (run, id) = stage.push().await;
    stage.cancel(run).await;
    let ended = until_it_is(stage, id, JobStatus::Completed).await;
    assert_eq!(ended.conclusion.as_deref(), Some("cancelled"));
    assert_eq!(ended.runner_name, None);
}

pub async fn a_forks_head_is_told_from_ones_own(stage: &mut impl Stage) {
    let (pushed, pulled) = stage.push_and_pull().await;
    let own = stage.forge().repository(OWN).await.unwrap();
    assert!(own.forkable, "there is a fork, so that it must be asked about");
    let pushed = stage.forge().run_facts(own.id, OWN, pushed).await.unwrap();
    let pulled = stage.forge().run_facts(own.id, OWN, pulled).await.unwrap();
    assert_eq!((pushed.is_fork, pulled.is_fork), (false, true));
    assert_eq!(pushed.run.event.as_deref(), Some("push"));
    assert!(pushed.run.number.is_some() && pushed.run.workflow_path.is_some(), "{pushed:?}");
}
