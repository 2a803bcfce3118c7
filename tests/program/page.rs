//! The pages at the private door, over HTTP: signing in, who sees nothing, and buttons that only the
//! door's own pages can press. In a browser: `browser`.

use reqwest::header::{HeaderMap, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode};

use crate::support::daemon::Daemon;
use crate::support::until;
use crate::support::webhook::{NOBODY_THERE, Request, door, queued};

const SOON: std::time::Duration = std::time::Duration::from_secs(20);

/// A browser that follows nothing by itself.
struct Browser {
    client: Client,
    base: String,
    cookie: Option<String>,
}

impl Browser {
    fn of(daemon: &Daemon) -> Self {
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        Self { client, base: format!("http://127.0.0.1:{}", daemon.admin), cookie: None }
    }

    /// Signed in with the token that the daemon made.
    async fn signed_in(daemon: &Daemon) -> Self {
        let mut browser = Self::of(daemon);
        let answer = browser.sign_in(&token(daemon)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        browser.keep_cookie(answer.headers());
        browser
    }

    fn sign_in(&self, token: &str) -> RequestBuilder {
        self.post("/login", &[("token", token)])
    }

    fn keep_cookie(&mut self, headers: &HeaderMap) {
        let cookie = headers[SET_COOKIE].to_str().unwrap().split(';').next().unwrap();
        self.cookie = Some(cookie.to_owned());
    }

    fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.base);
        let request = self.client.request(method.parse().unwrap(), url);
        let request = request.header("accept", "text/html,*/*;q=0.8");
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }

    async fn get(&self, path: &str) -> Response {
        self.request("GET", path).send().await.unwrap()
    }

    async fn text(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.unwrap()
    }

    fn post(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        let form = form.extend_pairs(fields).finish();
        let request = self.request("POST", path).header("origin", &self.base);
        request.header("content-type", "application/x-www-form-urlencoded").body(form)
    }

    /// The hidden field of its pages.
    async fn key(&self) -> String {
        let page = self.text("/").await;
        let (_, rest) = page.split_once("name=\"form_key\" value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    }
}

fn token(daemon: &Daemon) -> String {
    let file = daemon.folder.path().join("admin-token");
    std::fs::read_to_string(file).unwrap().trim().to_owned()
}

async fn is_paused(daemon: &Daemon) -> bool {
    daemon.api("/api/v1/pools").await[0]["paused"] == true
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_browser_without_a_session_is_sent_to_sign_in_and_comes_back() {
    let daemon = door().await;
    let browser = Browser::of(&daemon);
    for (path, to) in [("/", "/login"), ("/jobs/7", "/login?next=/jobs/7")] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        assert_eq!(answer.headers()["location"], to);
    }
    assert!(browser.text("/login").await.contains("Admin token"));
    let asked = browser.post("/login", &[("token", &token(&daemon)), ("next", "/jobs/7")]);
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.headers()["location"], "/jobs/7");
    let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict") && !cookie.contains("Secure"));
    assert!(!cookie.contains(&token(&daemon)), "the session is not the token");

    let wrong = browser.sign_in("wr0ng").send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    assert!(!wrong.headers().contains_key(SET_COOKIE));
    assert!(wrong.text().await.unwrap().contains("not the admin token"));
    let elsewhere =
        browser.post("/login", &[("token", &token(&daemon)), ("next", "//evil.example.org")]);
    assert_eq!(elsewhere.send().await.unwrap().headers()["location"], "/");
}

/// Such as a job on `raw_exec`, which reaches loopback.
#[tokio::test]
async fn whoever_shows_no_token_and_no_session_sees_nothing() {
    let daemon = door().await;
    Request::job("one", &queued(7)).send(daemon.door).await;
    for path in ["/", "/jobs/7", "/report", "/events", "/api/v1/status", "/api/v1/jobs"] {
        let url = format!("http://127.0.0.1:{}{path}", daemon.admin);
        let answer = reqwest::get(url).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
        let body: serde_json::Value = answer.json().await.unwrap();
        assert!(body["error"].is_string(), "{path}: {body}");
    }
    let browser = Browser::of(&daemon);
    for path in ["/pools/x64/pause", "/pools/x64/resume", "/jobs/7/retry", "/logout"] {
        let answer = browser.post(path, &[("form_key", "0")]).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{path}");
        assert_eq!(answer.headers()["location"], "/login", "{path}");
    }
    assert!(!is_paused(&daemon).await);
    // A made-up session is none.
    let forged = format!("roustabout-{}=ffffffffff.00.{}", daemon.admin, "0".repeat(64));
    let answer = browser.request("GET", "/api/v1/status").header("cookie", forged);
    assert_eq!(status(answer).await, 401);
}

#[tokio::test]
async fn a_session_sees_pages_api_and_events_and_outlives_a_restart_but_no_sign_out() {
    let mut daemon = door().await;
    Request::job("one", &queued(7)).send(daemon.door).await;
    let browser = Browser::signed_in(&daemon).await;
    until("the job is on the page", SOON, async || {
        browser.text("/").await.contains("href=\"/jobs/7\"")
    })
    .await;
    let page = browser.text("/jobs/7").await;
    assert!(page.contains("octo/app") && page.contains("Timeline"), "{page}");
    assert_eq!(browser.get("/jobs/8").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(browser.get("/jobs/x").await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(browser.get("/api/v1/status").await.status(), StatusCode::OK);
    let events = browser.get("/events").await;
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    drop(events);
    assert_eq!(browser.get("/login").await.headers()["location"], "/", "it has signed in");

    daemon.kill_hard();
    daemon.start().await;
    let key = browser.key().await;
    let out = browser.post("/logout", &[("form_key", &key)]).send().await.unwrap();
    assert_eq!(out.headers()["location"], "/login");
    assert!(out.headers()[SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    // The cookie that somebody may have kept is over.
    assert_eq!(browser.get("/").await.status(), StatusCode::SEE_OTHER);
    let other = Browser::signed_in(&daemon).await;
    daemon.reload().await;
    assert_eq!(browser.get("/").await.status(), StatusCode::SEE_OTHER, "after a reload too");
    assert_eq!(other.get("/").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn buttons_do_what_they_say_without_a_script() {
    let daemon = door().await;
    Request::job("one", &queued(7)).send(daemon.door).await;
    let browser = Browser::signed_in(&daemon).await;
    let key = browser.key().await;
    let answer = browser.post("/pools/x64/pause", &[("form_key", &key), ("for", "2h")]);
    assert_eq!(answer.send().await.unwrap().headers()["location"], "/");
    let paused = daemon.api("/api/v1/pools").await[0].clone();
    assert_eq!((&paused["paused"], paused["paused_until"].is_string()), (&true.into(), true));
    let page = browser.text("/").await;
    assert!(page.contains("Paused until") && page.contains("/pools/x64/resume"), "{page}");
    assert_eq!(status(browser.post("/pools/x64/resume", &[("form_key", &key)])).await, 303);
    assert!(!is_paused(&daemon).await);
    until("the job is known", SOON, async || daemon.job(7).await["id"] == 7).await;
    assert_eq!(status(browser.post("/jobs/7/retry", &[("form_key", &key)])).await, 303);
    until("its page has it", SOON, async || {
        browser.text("/jobs/7").await.contains("Job is looked up again, as requested")
    })
    .await;
    for (path, code) in [("/pools/arm/pause", 404), ("/jobs/8/retry", 404), ("/jobs/x/retry", 400)]
    {
        let answer = browser.post(path, &[("form_key", &key)]).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), code, "{path}");
        assert!(answer.text().await.unwrap().starts_with("<!DOCTYPE html>"), "{path}");
    }
    let odd = browser.post("/pools/x64/pause", &[("form_key", &key), ("for", "soon")]);
    assert_eq!(status(odd).await, 400);
}

#[tokio::test]
async fn no_other_page_presses_a_button_or_reads_anything() {
    let daemon = door().await;
    let browser = Browser::signed_in(&daemon).await;
    let other = Browser::signed_in(&daemon).await;
    let (key, of_other) = (browser.key().await, other.key().await);
    let pause = |fields: &[(&str, &str)]| browser.post("/pools/x64/pause", fields);
    assert_eq!(status(pause(&[])).await, 403, "without the field");
    assert_eq!(status(pause(&[("form_key", &of_other)])).await, 403, "that of another session");
    let field: &[(&str, &str)] = &[("form_key", key.as_str())];
    let from = |origin: &str| {
        let request = browser.request("POST", "/pools/x64/pause").header("origin", origin);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(format!("form_key={key}"))
    };
    for origin in ["http://evil.example.org", "null", "http://127.0.0.1:1"] {
        assert_eq!(status(from(origin)).await, 403, "{origin}");
    }
    for site in ["cross-site", "same-site"] {
        assert_eq!(status(pause(field).header("sec-fetch-site", site)).await, 403, "{site}");
        let read = browser.request("GET", "/events").header("sec-fetch-site", site);
        assert_eq!(status(read).await, 403, "{site}");
    }
    let json = browser.request("POST", "/pools/x64/pause").header("origin", &browser.base);
    let json = json.header("content-type", "application/json").body("{}");
    assert_eq!(status(json).await, 415);
    let api = browser.post("/api/v1/pools/x64/pause", field);
    assert_eq!(status(api).await, 415, "a form is nothing for the API");
    let unsaid = browser.request("POST", "/api/v1/pools/x64/pause");
    let unsaid = unsaid.header("content-type", "application/json").body("{}");
    assert_eq!(status(unsaid).await, 403, "a session that does not say where it comes from");
    // A name that was pointed at this machine.
    for (method, path) in [("GET", "/"), ("GET", "/login"), ("POST", "/login"), ("GET", "/events")]
    {
        let evil = browser.request(method, path).header("host", "evil.example.org");
        assert_eq!(status(evil).await, 421, "{method} {path}");
    }
    assert!(!is_paused(&daemon).await);
    assert_eq!(status(pause(field)).await, 303, "and its own page can");
    // Scripts with the cookie and their own origin.
    let own = browser.request("POST", "/api/v1/pools/x64/resume").header("origin", &browser.base);
    let own = own.header("content-type", "application/json").body("{}");
    assert_eq!(status(own).await, 200);
    assert!(!is_paused(&daemon).await);
}

#[tokio::test]
async fn a_page_says_what_a_browser_may_do_with_it() {
    let daemon = door().await;
    let browser = Browser::signed_in(&daemon).await;
    let page = browser.get("/").await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert!(!policy.contains("unsafe"));
    assert_eq!(page.headers()["cache-control"], "no-store");
    let text = page.text().await.unwrap();
    assert!(!text.contains(" style=") && !text.contains("<script>") && !text.contains("onclick"));
    assert!(
        text.contains("<noscript><meta http-equiv=\"refresh\""),
        "without a script it refreshes"
    );
    for asset in text.split('"').filter(|it| it.starts_with("/assets/")) {
        let answer = Browser::of(&daemon).get(asset).await;
        assert_eq!(answer.status(), StatusCode::OK, "{asset}");
        assert!(answer.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    }
    assert!(!text.contains("http://") || text.contains("127.0.0.1:1"), "nothing from elsewhere");
}

/// Through a proxy with TLS, under a name of the config.
#[tokio::test]
async fn under_a_name_of_the_config_the_cookie_is_for_https_alone() {
    let mut daemon = Daemon::prepare(NOBODY_THERE);
    daemon.configure(|text| text.replace("[admin]", "[admin]\nhosts = [\"ci.example.org\"]"));
    daemon.start().await;
    let browser = Browser::of(&daemon);
    let post = browser.request("POST", "/login").header("host", "ci.example.org");
    let post = post.header("origin", "https://ci.example.org");
    let post = post.header("content-type", "application/x-www-form-urlencoded");
    let answer = post.body(format!("token={}", token(&daemon))).send().await.unwrap();
    let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with("roustabout=") && cookie.ends_with("; Secure"), "{cookie}");
}

#[tokio::test]
async fn what_strangers_wrote_is_text() {
    let daemon = door().await;
    let mut payload = queued(7);
    payload["workflow_job"]["name"] = "<script>alert(1)</script>\"><b>".into();
    payload["workflow_job"]["html_url"] = "javascript:alert(1)/actions/runs/1/job/2".into();
    payload["workflow_job"]["head_branch"] = "'><img src=x>".into();
    Request::job("one", &payload).send(daemon.door).await;
    until("the job is known", SOON, async || daemon.job(7).await["id"] == 7).await;
    let browser = Browser::signed_in(&daemon).await;
    for path in ["/", "/jobs/7"] {
        let page = browser.text(path).await;
        assert!(page.contains("&lt;script&gt;alert(1)"), "{path}: {page}");
        for raw in ["<script>alert", "<img src=x", "javascript:"] {
            assert!(!page.contains(raw), "{path}: {raw}");
        }
    }
}

#[tokio::test]
async fn many_jobs_are_a_short_page_with_the_number() {
    let daemon = door().await;
    for job in 0..120 {
        let reply = Request::job(&format!("d-{job}"), &queued(1000 + job)).send(daemon.door).await;
        assert_eq!(reply.status, 202);
    }
    let browser = Browser::signed_in(&daemon).await;
    until("all are counted", SOON, async || browser.text("/").await.contains("70 more waiting"))
        .await;
    let page = browser.text("/").await;
    assert!(page.contains("Waiting jobs <span class=\"count\">120</span>"), "{page}");
    assert!(page.contains("id=\"job-1000\"") && !page.contains("id=\"job-1100\""), "the oldest");
}
