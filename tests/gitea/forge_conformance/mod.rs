//! What every kind of forge must do behind the seam: one list of checks (`checks`), held against
//! the simulated GitHub's server and against a real Gitea. Where forges differ the stage says so,
//! and the check says what follows.

mod checks;
mod gitea;
mod github;
mod stage;

use crate::support::parts::{self, Part};
use stage::Stage;

/// All checks, in the order in which they build on each other.
async fn conforms(mut stage: impl Stage) {
    let stage = &mut stage;
    checks::it_answers_a_probe(stage).await;
    checks::a_credential_lives_long_enough_and_is_a_secret(stage).await;
    checks::what_the_credential_may_not_is_told_apart(stage).await;
    checks::the_credentials_repositories_are_listed(stage).await;
    checks::a_repository_is_told_as_it_is(stage).await;
    checks::a_look_shows_what_waits_and_who_caused_it(stage).await;
    checks::jobs_are_known_by_id_and_by_run(stage).await;
    checks::why_nothing_was_heard_is_told_in_words(stage).await;
    checks::an_idle_runner_is_found_by_name_and_taken_away(stage).await;
    checks::a_runner_at_work_is_named_by_its_job_and_not_taken_away(stage).await;
    checks::a_rerun_is_a_new_job_or_the_same_one_again(stage).await;
    checks::a_cancelled_job_ends_without_a_runner(stage).await;
    checks::a_forks_head_is_told_from_ones_own(stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulated_github_conforms() {
    conforms(github::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_gitea_conforms() {
    if parts::is_missing(Part::Gitea, "the checks of a forge on a Gitea") {
        return;
    }
    conforms(gitea::start().await).await;
}
