//! As whom GitHub is asked: by a token, which is the same for everything, or as an installation of
//! an App, by a token for each use.

use transport::Server;

use crate::config::{By, Credential};
use crate::github::{App, BuildError, Client, Grant};
use crate::ledger::effect::Target;

#[derive(Clone)]
pub enum Asks {
    By(Client),
    As(App),
}

impl Asks {
    /// By the credential, at the GitHub of that address.
    pub fn by(api: Server, credential: &Credential) -> Result<Asks, BuildError> {
        Ok(match &credential.by {
            By::Token(token) => Asks::By(Client::new(api, token.clone())?),
            By::App(app) => Asks::As(App::new(api, &app.issuer, app.key.clone())?),
        })
    }

    /// Repositories, runs and jobs of the repository or owner.
    pub fn reading(&self, on: &str) -> Client {
        match self {
            Asks::By(client) => client.clone(),
            Asks::As(app) => app.client(on, Grant::Read),
        }
    }

    /// Runs there, to cancel them.
    pub fn cancelling(&self, repository: &str) -> Client {
        match self {
            Asks::By(client) => client.clone(),
            Asks::As(app) => app.client(repository, Grant::CancelRuns(repository.to_owned())),
        }
    }

    /// Runners there.
    pub fn runners(&self, target: &Target) -> Client {
        match (self, target) {
            (Asks::By(client), _) => client.clone(),
            (Asks::As(app), Target::Repository(name)) => {
                app.client(name, Grant::RunnersOfRepository(name.clone()))
            }
            (Asks::As(app), Target::Organization(login)) => {
                app.client(login, Grant::RunnersOfOrganization)
            }
        }
    }
}
