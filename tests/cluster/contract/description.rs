//! GitHub's descriptions of its API, as far as the tests look into them themselves: which operation a
//! request is, and which statuses it may answer. Bodies are Prism's business.

use std::path::PathBuf;

use serde_json::Value;
use simulated::github::Kind;

/// Whose API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    GitHubCom,
    /// The oldest and the newest Enterprise Server that is described.
    EnterpriseServer317,
    EnterpriseServer319,
}

impl Api {
    fn file(self) -> &'static str {
        match self {
            Self::GitHubCom => "api.github.com.json",
            Self::EnterpriseServer317 => "ghes-3.17.json",
            Self::EnterpriseServer319 => "ghes-3.19.json",
        }
    }

    pub fn kind(self) -> Kind {
        match self {
            Self::GitHubCom => Kind::GitHub,
            Self::EnterpriseServer317 | Self::EnterpriseServer319 => Kind::EnterpriseServer,
        }
    }

    /// What its paths begin with; the descriptions leave it out.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::GitHubCom => "",
            Self::EnterpriseServer317 | Self::EnterpriseServer319 => "/api/v3",
        }
    }
}

pub struct Description {
    paths: Value,
}

impl Description {
    pub fn file(of: Api) -> PathBuf {
        crate::contract::modules().join("@octokit/openapi/generated").join(of.file())
    }

    pub fn read(of: Api) -> Self {
        let text = std::fs::read(Self::file(of)).unwrap();
        let mut whole: Value = serde_json::from_slice(&text).unwrap();
        Self { paths: whole["paths"].take() }
    }

    /// `GET /repos/{owner}/{repo}`: the described path that fits with the fewest parameters.
    pub fn operation(&self, method: &str, path: &str) -> Option<String> {
        let asked: Vec<&str> = path.split('/').collect();
        let is_parameter = |segment: &str| segment.starts_with('{');
        let fits = |described: &str| {
            let described: Vec<&str> = described.split('/').collect();
            described.len() == asked.len()
                && described.iter().zip(&asked).all(|(one, is)| is_parameter(one) || one == is)
        };
        let described = self.paths.as_object().unwrap().iter();
        described
            .filter(|(path, methods)| fits(path) && methods.get(method.to_lowercase()).is_some())
            .min_by_key(|(path, _)| path.split('/').filter(|one| is_parameter(one)).count())
            .map(|(path, _)| format!("{method} {path}"))
    }

    /// The statuses that the description gives the operation.
    pub fn statuses(&self, operation: &str) -> Vec<u16> {
        let (method, path) = operation.split_once(' ').unwrap();
        let responses = &self.paths[path][method.to_lowercase()]["responses"];
        responses.as_object().unwrap().keys().map(|status| status.parse().unwrap()).collect()
    }
}
