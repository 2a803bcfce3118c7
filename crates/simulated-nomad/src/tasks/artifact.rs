//! Fetches a task's artifact and holds it to its checksum.

use sha2::{Digest, Sha256};

use crate::jobspec::Artifact;

/// # Errors
/// In words.
pub(super) async fn fetch(artifact: &Artifact) -> Result<Vec<u8>, String> {
    let http = reqwest::Client::builder().no_proxy().build().map_err(|error| error.to_string())?;
    let answer = http.get(&artifact.getter_source).send().await;
    let answer = answer.and_then(reqwest::Response::error_for_status);
    let bytes = match answer {
        Ok(answer) => answer.bytes().await.map_err(|error| error.to_string())?,
        Err(error) => return Err(error.to_string()),
    };
    let options = artifact.getter_options.as_ref();
    let wanted = options.and_then(|options| options.get("checksum")).map_or("", String::as_str);
    match wanted.split_once(':') {
        None if wanted.is_empty() => {}
        Some(("sha256", wanted)) => {
            let found = hex::encode(Sha256::digest(&bytes));
            if found != wanted.to_ascii_lowercase() {
                return Err(format!("its checksum is sha256:{found}, not sha256:{wanted}"));
            }
        }
        _ => return Err(format!("the stand-in for Nomad knows no checksum like {wanted:?}")),
    }
    Ok(bytes.to_vec())
}
