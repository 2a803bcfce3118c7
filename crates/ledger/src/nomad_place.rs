//! Where in Nomad something is: a region and a namespace of it. Each answers, refuses and goes away
//! by itself, so each has a gate of its own, see `step::gates`.

use serde::{Deserialize, Serialize};

/// A namespace, with the region where one was named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NomadPlace {
    pub namespace: String,
    /// `None`: the region of the agent that is asked, whatever the config names later.
    pub region: Option<String>,
}

impl Default for NomadPlace {
    /// Where a connection leads that says nothing else.
    fn default() -> Self {
        Self { namespace: "default".to_owned(), region: None }
    }
}

impl NomadPlace {
    /// This one, where neither is said.
    pub fn or(&self, namespace: Option<&String>, region: Option<&String>) -> Self {
        Self {
            namespace: namespace.unwrap_or(&self.namespace).clone(),
            region: region.or(self.region.as_ref()).cloned(),
        }
    }

    /// ` in namespace "ci" of region "eu"`, as far as that differs from `own`.
    pub fn unlike(&self, own: &Self) -> String {
        let namespace = (self.namespace != own.namespace).then_some(&self.namespace);
        let region = self.region.as_ref().filter(|_| self.region != own.region);
        match (namespace, region) {
            (None, None) => String::new(),
            (Some(namespace), None) => format!(" in namespace {namespace:?}"),
            (None, Some(region)) => format!(" in region {region:?}"),
            (Some(namespace), Some(region)) => {
                format!(" in namespace {namespace:?} of region {region:?}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_by_what_is_unlike_our_own() {
        let own = NomadPlace::default();
        let named = |namespace: &str, region: &str| {
            own.or(Some(&namespace.to_owned()), Some(&region.to_owned()))
        };
        assert_eq!(own.or(None, None), own);
        assert_eq!(own.unlike(&own), "");
        assert_eq!(named("default", "eu").unlike(&own), " in region \"eu\"");
        let eu = named("default", "eu");
        assert_eq!(named("ci", "eu").unlike(&eu), " in namespace \"ci\"");
        let both = " in namespace \"ci\" of region \"eu\"";
        assert_eq!(named("ci", "eu").unlike(&own), both);
    }
}
