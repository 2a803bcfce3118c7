//! Which Nomad the demo uses: the one that was named, one on this machine that the environment
//! names, else one of its own. And whether that is a real one, which only it can tell: a stand-in may
//! be behind an address or in the place of a program as well.

use std::path::PathBuf;

use anyhow::bail;
use local_parts::programs::find_binary;
use roustabout::config::Environment;
use serde::Serialize;
use serde_json::Value;
use transport::is_loopback;
use url::Url;

#[derive(Debug, PartialEq, Eq)]
pub enum WhichNomad {
    /// It runs already, on this machine, and goes on after us.
    Running { address: Url, named_by: &'static str },
    /// To be started from this binary, and ended.
    Own(PathBuf),
    /// There is none; the one that is built in.
    StandIn,
}

/// The Nomad as it is told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToldOf {
    pub address: String,
    /// By what it was chosen: `--nomad`, `NOMAD_ADDR`, `program` (one that was found), `stand-in`.
    pub by: &'static str,
    /// None: it does not tell.
    pub version: Option<String>,
    /// Not a stand-in. None: it does not tell.
    pub real: Option<bool>,
}

impl ToldOf {
    /// `own` is what the agent says of itself, where it does.
    pub fn of(which: &WhichNomad, address: &Url, own: Option<&Value>) -> Self {
        let version = own.and_then(|own| own.pointer("/config/Version/Version"));
        let marked = |own: &Value| own["config"][simulated_nomad::MARK] == true;
        Self {
            address: address.as_str().trim_end_matches('/').to_owned(),
            by: match which {
                WhichNomad::Running { named_by, .. } => named_by,
                WhichNomad::Own(_) => "program",
                WhichNomad::StandIn => "stand-in",
            },
            version: version.and_then(Value::as_str).map(str::to_owned),
            real: own.map(|own| !marked(own)),
        }
    }

    /// In words; `seconds` is how long it took to have it.
    pub fn in_words(&self, seconds: f64) -> String {
        let Self { address, by, version, real } = self;
        let what = match (real, version) {
            (Some(true), Some(version)) => format!("{version}, real, "),
            (Some(true), None) => "real, ".to_owned(),
            (Some(false), _) => "not a real one but a stand-in, ".to_owned(),
            (None, _) => "whether it is a real one it does not tell, ".to_owned(),
        };
        match *by {
            "program" => format!("{what}started for this at {address} in {seconds:.1} s"),
            "stand-in" => format!("not the real one: none was found. A stand-in, at {address}"),
            by => format!("{what}the one at {address} ({by})"),
        }
    }
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
    use serde_json::json;

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
    fn only_the_agent_tells_whether_it_is_real() {
        let address: Url = "http://127.0.0.1:4646/".parse().unwrap();
        let running = WhichNomad::Running { address: address.clone(), named_by: "NOMAD_ADDR" };
        let found = WhichNomad::Own("/usr/bin/nomad".into());
        let real = json!({"config": {"Version": {"Version": "1.11.3"}}});
        let stand_in = json!({"config": {"Version": {"Version": "1.11.3"}, "StandIn": true}});
        let told = |which, own| ToldOf::of(which, &address, own).in_words(2.0);
        let here = "the one at http://127.0.0.1:4646 (NOMAD_ADDR)";
        assert_eq!(told(&running, Some(&real)), format!("1.11.3, real, {here}"));
        assert_eq!(
            told(&running, Some(&stand_in)),
            format!("not a real one but a stand-in, {here}")
        );
        assert_eq!(
            told(&running, None),
            format!("whether it is a real one it does not tell, {here}")
        );
        assert_eq!(
            told(&found, Some(&stand_in)),
            "not a real one but a stand-in, started for this at http://127.0.0.1:4646 in 2.0 s"
        );
        assert_eq!(ToldOf::of(&found, &address, Some(&stand_in)).real, Some(false));
    }

    #[test]
    fn nomad_addr_counts_on_loopback() {
        let env = Environment::from_iter([("NOMAD_ADDR", "http://127.0.0.1:4646")]);
        let (which, _) = choose(None, &env).unwrap();
        assert!(matches!(which, WhichNomad::Running { named_by: "NOMAD_ADDR", .. }));
    }
}
