//! Lists of several pages: follows `Link: <…>; rel="next"` until there is none, and remembers each
//! page for the next time. An answer that has not changed is a 304, which costs no rate limit
//! (docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api).

use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use url::Url;

use super::error::Error;
use super::transport::{self, Answer, Call, Client, Target};

/// GitHub gives at most 1000 filtered runs and 10 000 runners a group, a hundred a page.
const MAX_PAGES: usize = 200;

/// What a list was the last time, page by page: each has a tag of its own, for GitHub's is that of
/// one answer and says nothing of the pages behind it.
#[derive(Clone, Debug)]
pub struct Pages<T> {
    pages: Vec<Page<T>>,
}

#[derive(Clone, Debug)]
struct Page<T> {
    tag: Option<String>,
    next: Option<Url>,
    items: Vec<T>,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { pages: Vec::new() }
    }
}

impl<T> Pages<T> {
    pub fn items(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flat_map(|page| &page.items)
    }
}

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

    /// Brings what is known of a list up to date, asking of each page whether it has changed: an
    /// unchanged one costs no rate limit. `keep` is what becomes of an item. After a failure what
    /// is known is a mixture, and the next time starts from that.
    pub(super) async fn pages_again<P, W, T>(
        &self,
        first: Call<'_>,
        known: &mut Pages<T>,
        items: fn(P) -> Vec<W>,
        keep: impl Fn(W) -> T,
    ) -> Result<(), Error>
    where
        P: DeserializeOwned,
    {
        let request = first.name();
        let mut call = first.query("per_page", "100");
        for at in 0..MAX_PAGES {
            let tag = known.pages.get(at).and_then(|page| page.tag.clone());
            call.etag = tag.as_deref();
            let answer = self.call(call).await?;
            if answer.status != StatusCode::NOT_MODIFIED {
                let page = Page {
                    tag: answer.etag(),
                    next: answer.next(),
                    items: items(transport::parse::<P>(request.clone(), &answer)?)
                        .into_iter()
                        .map(&keep)
                        .collect(),
                };
                match known.pages.get_mut(at) {
                    Some(old) => *old = page,
                    None => known.pages.push(page),
                }
            }
            let Some(page) = known.pages.get(at) else {
                let reason = "304 to a question that was not conditional".to_owned();
                return Err(Error::Protocol { request, reason });
            };
            let Some(next) = page.next.clone() else {
                known.pages.truncate(at + 1);
                return Ok(());
            };
            call = Call::get(Vec::new());
            call.target = Target::Url(next);
        }
        Err(Error::Protocol { request, reason: format!("more than {MAX_PAGES} pages") })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::{Value, json};
    use wiremock::matchers::{header, path, query_param};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    /// Three pages of one item each, as they are now.
    async fn give(server: &MockServer, items: [&str; 3]) {
        server.reset().await;
        for (number, item) in (1..).zip(items) {
            let at = || {
                let at = Mock::given(path("/orgs/o/hooks"));
                match number {
                    1 => at.and(query_param("per_page", "100")),
                    _ => at.and(query_param("page", number.to_string())),
                }
            };
            let tag = format!("W/\"{item}\"");
            at().and(header("if-none-match", tag.as_str()))
                .respond_with(ResponseTemplate::new(304))
                .with_priority(1)
                .mount(server)
                .await;
            let mut answer = ResponseTemplate::new(200)
                .insert_header("etag", tag.as_str())
                .set_body_json(json!([item]));
            if number < 3 {
                let next =
                    format!("<{}/orgs/o/hooks?page={}>; rel=\"next\"", server.uri(), number + 1);
                answer = answer.insert_header("link", next.as_str());
            }
            at().respond_with(answer).mount(server).await;
        }
    }

    /// The items, and how many answers counted.
    async fn again(
        client: &Client,
        known: &mut Pages<String>,
        server: &MockServer,
    ) -> (String, usize) {
        let call = Call::get(vec!["orgs", "o", "hooks"]);
        let keep = |item: Value| item.as_str().unwrap_or_default().to_owned();
        client.pages_again(call, known, |page: Vec<Value>| page, keep).await.unwrap();
        let asked = server.received_requests().await.unwrap();
        let free = |request: &wiremock::Request| {
            let tag = request.headers.get("if-none-match").and_then(|tag| tag.to_str().ok());
            known.pages.iter().any(|page| page.tag.is_some() && page.tag.as_deref() == tag)
        };
        let counted = asked.iter().filter(|request| !free(request)).count();
        (known.items().cloned().collect::<Vec<_>>().join(" "), counted)
    }

    #[tokio::test]
    async fn a_page_behind_an_unchanged_one_is_seen_to_change_and_a_quiet_look_is_free() {
        let server = MockServer::start().await;
        let (client, mut known) = (testing::client(&server.uri()), Pages::default());
        give(&server, ["a", "b", "c"]).await;
        assert_eq!(again(&client, &mut known, &server).await, ("a b c".to_owned(), 3));
        give(&server, ["a", "b", "c"]).await;
        assert_eq!(again(&client, &mut known, &server).await, ("a b c".to_owned(), 0));
        give(&server, ["a", "b", "d"]).await;
        assert_eq!(again(&client, &mut known, &server).await, ("a b d".to_owned(), 1));
    }
}
