//! Lists of several pages, asked for by `page` and `limit`. Gitea sorts runners by when they were
//! last heard of and jobs not at all, so a list may move while it is read: what was read is held
//! against the total, and read again where something slipped through.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::error::Error;
use super::transport::{Call, Client};

/// Gitea gives no more unless its `[api] MAX_RESPONSE_ITEMS` is changed; fewer, if it is lower.
const LIMIT: &str = "50";
const MAX_PAGES: usize = 400;
/// How often a list that moves is read.
const TRIES: usize = 3;

/// One page, and how many items all pages have where the page says so.
pub(super) struct Page<T> {
    pub items: Vec<T>,
    pub total: Option<u64>,
}

/// All items; whether none can be missing.
pub(super) struct List<T> {
    pub items: Vec<T>,
    pub whole: bool,
}

impl<T> List<T> {
    /// The items, for whoever must know all of them.
    pub fn whole(self, request: &str) -> Result<Vec<T>, Error> {
        match self.whole {
            true => Ok(self.items),
            false => Err(Error::Unavailable {
                request: request.to_owned(),
                reason: "the list kept changing while it was read".to_owned(),
            }),
        }
    }
}

impl Client {
    /// All items by their ids.
    pub(super) async fn pages<P, T>(
        &self,
        call: Call<'_>,
        page: fn(P) -> Page<T>,
        id: fn(&T) -> u64,
    ) -> Result<List<T>, Error>
    where
        P: DeserializeOwned,
    {
        let mut read: BTreeMap<u64, T> = BTreeMap::new();
        for _ in 0..TRIES {
            read.clear();
            let total = self.read_once(&call, page, id, &mut read).await?;
            if total.is_none_or(|total| read.len() as u64 >= total) {
                return Ok(List { items: read.into_values().collect(), whole: true });
            }
        }
        Ok(List { items: read.into_values().collect(), whole: false })
    }

    /// The total, as the last page tells it.
    async fn read_once<P, T>(
        &self,
        call: &Call<'_>,
        page: fn(P) -> Page<T>,
        id: fn(&T) -> u64,
        read: &mut BTreeMap<u64, T>,
    ) -> Result<Option<u64>, Error>
    where
        P: DeserializeOwned,
    {
        let mut seen = 0;
        for number in 1..=MAX_PAGES {
            let asked = call.clone().query("limit", LIMIT).query("page", number.to_string());
            let (wire, answer) = self.read::<P>(asked).await?;
            let Page { items, total } = page(wire);
            let total = total.or(answer.total());
            let none = items.is_empty();
            seen += items.len() as u64;
            read.extend(items.into_iter().map(|item| (id(&item), item)));
            if none || total.is_some_and(|total| seen >= total) {
                return Ok(total);
            }
        }
        let reason = format!("more than {MAX_PAGES} pages");
        Err(Error::Protocol { request: call.name(), reason })
    }
}
