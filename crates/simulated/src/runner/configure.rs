//! `config.sh` and `config.sh remove`: register a runner, unregister it.
//!
//! Refusing root is the script's part. Read next: `listen.rs`.

use std::path::Path;

use super::client::Client;
use super::files::{self, Settings};
use super::options::Options;
use super::{Environment, Failure};
use crate::protocol::{Registered, Registration, Removal};

pub(super) async fn configure(
    root: &Path,
    args: &[String],
    environment: &Environment,
) -> Result<(), Failure> {
    let options = Options::parse(args, environment)?;
    if files::configured(root) {
        return Err(Failure::Usage(
            "Cannot configure the runner because it is already configured. To reconfigure the \
             runner, run 'config.sh remove' first."
                .to_owned(),
        ));
    }
    let url = options.required("url")?;
    let name = match options.value("name") {
        Some(name) => name.to_owned(),
        None => environment.get("HOSTNAME").cloned().unwrap_or_else(|| "runner".to_owned()),
    };
    let registration = Registration {
        url: url.to_owned(),
        token: options.required("token")?.to_owned(),
        name,
        labels: options.labels()?,
        group: options.value("runnergroup").map(str::to_owned),
        ephemeral: options.flag("ephemeral"),
        replace: options.flag("replace"),
    };
    let registered: Registered = Client::new(url)?.post("runners", &registration).await?;
    println!("√ Connected to GitHub");
    let settings = Settings {
        agent_id: registered.id,
        agent_name: registration.name,
        git_hub_url: url.to_owned(),
        ephemeral: registration.ephemeral,
    };
    files::write(root, &settings, &registered)?;
    println!("√ Runner successfully added");
    println!("√ Settings Saved.");
    Ok(())
}

pub(super) async fn remove(
    root: &Path,
    args: &[String],
    environment: &Environment,
) -> Result<(), Failure> {
    let options = Options::parse(args, environment)?;
    if !files::configured(root) {
        println!("Does not exist. Skipping Removing runner from the server");
        return Ok(());
    }
    let token = options.required("token")?.to_owned();
    let (settings, registered) = files::read(root)?;
    let path = format!("runners/{}/remove", registered.id);
    let client = Client::new(&settings.git_hub_url)?;
    client.post::<()>(&path, &Removal { token }).await?;
    println!("√ Runner removed successfully");
    files::remove(root)?;
    println!("√ Removed .credentials\n√ Removed .runner");
    Ok(())
}
