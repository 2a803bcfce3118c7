//! As whom GitHub is asked: by a token, which is the same for everything, or as an installation of
//! an App, by a token for each use.

use crate::github::{App, Client, Grant};
use crate::ledger::effect::Target;

#[derive(Clone)]
pub enum Asks {
    By(Client),
    As(App),
}

impl Asks {
    /// Repositories, runs and jobs of the repository or owner.
    pub fn reading(&self, on: &str) -> Client {
        match self {
            Asks::By(client) => client.clone(),
            Asks::As(app) => app.client(on, Grant::Read),
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
