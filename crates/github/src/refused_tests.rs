//! A GitHub that refuses for minutes on end, and many that ask: how many requests that costs. Time is
//! simulated.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clock::Clock;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;
use transport::{Answering, Exchange, Request, Response, Transport, Whole};

use super::{Client, Error, Purpose};

/// Answers after a second, always the same.
#[derive(Clone)]
struct Refusing {
    headers: Vec<(&'static str, &'static str)>,
    asked: Arc<AtomicUsize>,
    under_way: Arc<AtomicUsize>,
    most_under_way: Arc<AtomicUsize>,
    status: u16,
}

impl Exchange for Refusing {
    fn send(&self, _request: Request) -> Answering<'_, Response> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let under_way = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_under_way.fetch_max(under_way, Ordering::Relaxed);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            let headers = self.headers.iter().map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            });
            Ok(Response {
                status: StatusCode::from_u16(self.status).unwrap(),
                headers: headers.collect::<HeaderMap>(),
                body: Whole::of(r#"{"login": "octocat", "message": "a rate limit"}"#),
            })
        })
    }
}

fn refusing(status: u16, headers: &[(&'static str, &'static str)]) -> (Client, Refusing) {
    let exchange = Refusing {
        headers: headers.to_vec(),
        asked: Arc::default(),
        under_way: Arc::default(),
        most_under_way: Arc::default(),
        status,
    };
    let (wire, api) = (Transport::new(exchange.clone()), "https://api.test".parse().unwrap());
    (Client::over(wire, api, SecretString::from("t"), Clock::system()), exchange)
}

/// A hundred ask each second, for so long.
async fn insist(client: &Client, minutes: u64) {
    let ends = tokio::time::Instant::now() + Duration::from_secs(60 * minutes);
    let mut asking = Vec::new();
    for number in 0..100 {
        let whose = Purpose::For(format!("o/r{number}").into());
        let client = client.with_purpose(if number % 2 == 0 { whose } else { Purpose::Essential });
        asking.push(tokio::spawn(async move {
            while tokio::time::Instant::now() < ends {
                let _ = client.user().await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }));
    }
    for one in asking {
        one.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_of_refusals_cost_a_bounded_number_of_requests() {
    for (headers, at_most) in [
        // Nothing is said of when: 1, 2, 4, 8 minutes.
        (&[][..], 4),
        // "At once", as nobody should say.
        (&[("retry-after", "0")], 15),
        (&[("retry-after", "1")], 15),
        (&[("retry-after", "60")], 10),
    ] {
        let (client, refusing) = refusing(403, headers);
        insist(&client, 10).await;
        // The first ones leave together, before the first refusal is there.
        let first = super::pace::AT_ONCE;
        let asked = refusing.asked.load(Ordering::Relaxed);
        assert!(asked <= first + at_most, "{headers:?}: {asked}");
        let again = asked - first;
        assert!(again >= 3, "{headers:?}: it is tried again, {again} times");
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_than_githubs_minute_allows_and_no_more_at_once() {
    let limit = [
        ("x-ratelimit-limit", "100000"),
        ("x-ratelimit-remaining", "90000"),
        ("x-ratelimit-reset", "4000000000"),
    ];
    let (client, github) = refusing(200, &limit);
    insist(&client, 10).await;
    let asked = github.asked.load(Ordering::Relaxed);
    assert!((8_000..=9_000).contains(&asked), "{asked} in ten minutes");
    assert!(github.most_under_way.load(Ordering::Relaxed) <= 90);
    let sweeping = client.with_purpose(Purpose::Background("o/r".into()));
    let told = sweeping.user().await.unwrap_err();
    assert!(matches!(&told, Error::TooFast { wait, .. } if wait.as_secs() <= 60), "{told}");
    assert!(told.to_string().contains("waits for GitHub's rate limit until "), "{told}");
}

/// As an Enterprise Server is, unless its owner says otherwise.
#[tokio::test(start_paused = true)]
async fn a_github_without_limits_is_asked_as_often_as_there_is_need() {
    let (client, github) = refusing(200, &[]);
    insist(&client, 1).await;
    assert!(github.asked.load(Ordering::Relaxed) > 2_000);
}
