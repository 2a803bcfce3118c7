//! Lists of several pages: follows `Link: <…>; rel="next"` until there is none.

use reqwest::StatusCode;
use serde::de::DeserializeOwned;

use super::error::Error;
use super::runs::Conditional;
use super::transport::{self, Answer, Call, Client, Target};

/// GitHub gives at most 1000 filtered runs and 10 000 runners a group, a hundred a page.
const MAX_PAGES: usize = 200;

impl Client {
    /// All items, `items` taking them out of each page.
    pub(super) async fn pages<P, T>(
        &self,
        first: Call<'_>,
        items: fn(P) -> Vec<T>,
    ) -> Result<Vec<T>, Error>
    where
        P: DeserializeOwned,
    {
        let request = first.name();
        let answer = self.call(first.query("per_page", "100")).await?;
        self.rest_of_pages(request, answer, items).await
    }

    /// As [`pages`](Self::pages), if the first page is another than when `etag` was told. The
    /// lists that are asked for in this way carry their total on the first page.
    pub(super) async fn pages_if_changed<'a, P, T>(
        &self,
        mut first: Call<'a>,
        etag: Option<&'a str>,
        items: fn(P) -> Vec<T>,
    ) -> Result<Conditional<Vec<T>>, Error>
    where
        P: DeserializeOwned,
    {
        first.etag = etag;
        let request = first.name();
        let answer = self.call(first.query("per_page", "100")).await?;
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok(Conditional::Unchanged);
        }
        let etag = answer.etag();
        let value = self.rest_of_pages(request, answer, items).await?;
        Ok(Conditional::Fresh { value, etag })
    }

    /// The items of this page and of all that follow it.
    pub(super) async fn rest_of_pages<P, T>(
        &self,
        request: String,
        mut answer: Answer,
        items: fn(P) -> Vec<T>,
    ) -> Result<Vec<T>, Error>
    where
        P: DeserializeOwned,
    {
        let mut all = Vec::new();
        for _ in 0..MAX_PAGES {
            all.extend(items(transport::parse::<P>(request.clone(), &answer)?));
            let Some(next) = answer.next() else { return Ok(all) };
            let mut call = Call::get(Vec::new());
            call.target = Target::Url(next);
            answer = self.call(call).await?;
        }
        Err(Error::Protocol { request, reason: format!("more than {MAX_PAGES} pages") })
    }
}
