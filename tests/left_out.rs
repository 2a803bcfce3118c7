//! A plain `cargo test` runs what needs no outside part. This says what it did not run, and
//! which command does, so that nobody takes a part for the whole.

/// Who needs a part says so here.
const MANIFEST: &str = include_str!("../Cargo.toml");

fn main() {
    if cfg!(feature = "real-parts") {
        return;
    }
    let tests = MANIFEST.split("[[test]]").skip(1).filter(|text| text.contains("real-parts\"]"));
    let name = |text: &str| text.split('"').nth(1).unwrap_or_default().to_owned();
    let names: Vec<String> = tests.map(name).collect();
    println!(
        "\nnot run, for they need outside parts (a Nomad, a Gitea, GitHub's descriptions …): {}, \
         and half of simulated_nomad.\n\
         scripts/test installs what they need and runs everything.\n",
        names.join(", ")
    );
}
