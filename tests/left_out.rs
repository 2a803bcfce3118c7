//! A plain `cargo test` runs what needs no outside part. This says what it did not run, and
//! which command does, so that nobody takes a part for the whole.

fn main() {
    if cfg!(feature = "real-parts") {
        return;
    }
    println!(
        "\nnot run: the tests against a real Nomad, a real Gitea and GitHub's webhook examples \
         (agent, jobspec, main_job, crash, restart, sweeps, lifecycle, dispatch, refusal, policy, \
         away, check, demo, simulated_nomad on the real one, examples, gitea, gitea_jobspec, \
         gitea_part).\n\
         scripts/test installs what they need and runs everything.\n"
    );
}
