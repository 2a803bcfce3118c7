//! Which Nomad the demo uses: the one that was named, one on this machine that the environment
//! names, else one of its own.

use std::path::PathBuf;

use anyhow::bail;
use url::Url;

use super::agent::find_binary;
use crate::config::Environment;
use transport::is_loopback;

#[derive(Debug, PartialEq, Eq)]
pub enum WhichNomad {
    /// It runs already, on this machine, and goes on after us.
    Running { address: Url, named_by: &'static str },
    /// To be started from this binary, and ended.
    Own(PathBuf),
    /// There is none; the one that is built in.
    StandIn,
}

/// What one does who wants a real one.
pub const HOW_TO_GET_ONE: &str = "for a real one put nomad on PATH or say where it is in \
    NOMAD_BIN; HashiCorp's packages: https://developer.hashicorp.com/nomad/install";

/// What `--nomad` says, or why that cannot be.
pub fn said(text: &str) -> Result<Url, String> {
    let address = parse(text)
        .map_err(|error| format!("--nomad {text}: {error}; write it as http://127.0.0.1:4646"))?;
    if is_loopback(&address) {
        return Ok(address);
    }
    Err(format!(
        "--nomad {text}: not a loopback address. The runners of the demo run this very program and \
         talk to the simulated GitHub in it, so Nomad has to be on this machine"
    ))
}

/// `said` is what `--nomad` says. With it, where `NOMAD_ADDR` is passed over, a word of why.
pub fn choose(
    said: Option<Url>,
    env: &Environment,
) -> anyhow::Result<(WhichNomad, Option<String>)> {
    if let Some(address) = said {
        return Ok((WhichNomad::Running { address, named_by: "--nomad" }, None));
    }
    let mut passed_over = None;
    if let Some(named) = env.get("NOMAD_ADDR") {
        match parse(named) {
            Ok(address) if is_loopback(&address) => {
                return Ok((WhichNomad::Running { address, named_by: "NOMAD_ADDR" }, None));
            }
            _ => passed_over = Some(format!("NOMAD_ADDR {named} is not this machine: not used")),
        }
    }
    match find_binary(None, |name| std::env::var_os(name)) {
        Some(binary) => Ok((WhichNomad::Own(binary), passed_over)),
        None => match env.get("NOMAD_BIN") {
            Some(said) => bail!("NOMAD_BIN {said} is no program that can be run"),
            None => Ok((WhichNomad::StandIn, passed_over)),
        },
    }
}

fn parse(text: &str) -> Result<Url, url::ParseError> {
    if text.contains("://") { text.parse() } else { format!("http://{text}").parse() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nomad_elsewhere_is_refused_where_it_was_asked_for() {
        let error = said("http://10.0.0.1:4646").unwrap_err();
        assert!(error.contains("not a loopback address"), "{error}");
        for here in ["http://127.0.0.1:4646", "localhost:4646", "https://[::1]:4646"] {
            assert!(said(here).is_ok(), "{here}");
        }
    }

    #[test]
    fn nomad_addr_counts_on_loopback() {
        let env = Environment::from_iter([("NOMAD_ADDR", "http://127.0.0.1:4646")]);
        let (which, _) = choose(None, &env).unwrap();
        assert!(matches!(which, WhichNomad::Running { named_by: "NOMAD_ADDR", .. }));
    }
}
