//! GitHub's description of its API, as far as the tests look into it themselves: which operation a
//! request is, and which statuses it may answer. Bodies are Prism's business.

use std::path::PathBuf;

use serde_json::Value;

pub struct Description {
    paths: Value,
}

impl Description {
    pub fn file() -> PathBuf {
        crate::contract::modules().join("@octokit/openapi/generated/api.github.com.json")
    }

    pub fn read() -> Self {
        let text = std::fs::read(Self::file()).unwrap();
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
