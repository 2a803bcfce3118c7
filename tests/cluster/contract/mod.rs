//! GitHub's own descriptions judge both sides: every request that the client and the daemon make and
//! every answer of the simulated GitHub by its description of the API (`client`, `work`; the judging
//! is `judge`'s), every webhook that the simulated GitHub sends by that of the webhooks (`webhooks`).

mod calls;
mod client;
mod description;
mod judge;
mod stage;
mod webhooks;
mod work;

/// The folder that `scripts/get-openapi` prints.
fn modules() -> std::path::PathBuf {
    std::env::var_os("ROUSTABOUT_TEST_OPENAPI").map(Into::into).expect(
        "ROUSTABOUT_TEST_OPENAPI is not set; scripts/test gets GitHub's descriptions and runs these tests",
    )
}
