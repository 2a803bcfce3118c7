//! A real browser: a headless Chromium, driven by ChromeDriver over the WebDriver protocol
//! (W3C WebDriver 2), as far as tests of the status page need it.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::daemon::signal;
use super::until;

const PATIENCE: Duration = Duration::from_secs(60);
/// What an element's id is called in answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A width and a height.
pub const DESKTOP: (u32, u32) = (1200, 900);
pub const PHONE: (u32, u32) = (390, 844);

pub struct Browser {
    http: reqwest::Client,
    session: String,
    driver: Child,
}

/// It takes the port that it draws on IPv4 and on IPv6, and ends where another test has it on one of them.
fn drive() -> Option<(Child, u16)> {
    let mut command = Command::new("chromedriver");
    command.args(["--port=0", "--log-level=SEVERE"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut driver = command.process_group(0).spawn().unwrap();
    let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = lines.map(Result::unwrap).find_map(|line| {
        let (_, port) = line.split_once("successfully on port ")?;
        port.trim_end_matches('.').parse::<u16>().ok()
    });
    if port.is_none() {
        driver.wait().unwrap();
    }
    Some((driver, port?))
}

impl Browser {
    pub async fn start() -> Self {
        let (driver, port) = (0..3).find_map(|_| drive()).expect("ChromeDriver starts");
        let base = format!("http://127.0.0.1:{port}/session");
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let arguments = [
            "--headless=new",
            // Root of a container has no other choice, and the only pages are ours.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-proxy-server",
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let answer = http.post(&base).json(&wanted).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        let id = answer["value"]["sessionId"].as_str();
        let id = id.unwrap_or_else(|| panic!("Chromium does not start: {answer}"));
        let browser = Self { session: format!("{base}/{id}"), http, driver };
        browser.size(DESKTOP).await;
        browser
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let request = self.http.post(format!("{}/{path}", self.session)).json(&body);
        let answer = request.send().await.unwrap();
        let good = answer.status().is_success();
        let mut answer: Value = answer.json().await.unwrap();
        assert!(good, "{path} {body}: {}", answer["value"]);
        answer["value"].take()
    }

    /// A command of Chromium's own protocol.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.post("goog/cdp/execute", json!({"cmd": command, "params": parameters})).await
    }

    pub async fn size(&self, (width, height): (u32, u32)) {
        let screen =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", screen).await;
    }

    /// `light` or `dark`, as people set it in their system.
    pub async fn colours(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools("Emulation.setEmulatedMedia", json!({"features": features})).await;
    }

    /// Pages that are opened from now on run no script.
    pub async fn without_scripts(&self) {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
    }

    pub async fn open(&self, url: &str) {
        self.post("url", json!({"url": url})).await;
    }

    pub async fn url(&self) -> String {
        let answer = self.http.get(format!("{}/url", self.session)).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        answer["value"].as_str().unwrap().to_owned()
    }

    /// What the body of a function returns.
    pub async fn run(&self, script: &str) -> Value {
        self.post("execute/sync", json!({"script": script, "args": []})).await
    }

    /// The same where it returns a promise.
    pub async fn run_to_its_end(&self, script: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1]; (async () => {{ {script} }})().then(done, \
             (error) => done({{error: String(error)}}));"
        );
        self.post("execute/async", json!({"script": script, "args": []})).await
    }

    /// The source as the driver has it, which needs no script of the page.
    pub async fn source(&self) -> String {
        let answer = self.http.get(format!("{}/source", self.session)).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        answer["value"].as_str().unwrap_or_default().to_owned()
    }

    async fn element(&self, selector: &str) -> String {
        let asked = json!({"using": "css selector", "value": selector});
        let found = self.post("element", asked).await;
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    pub async fn click(&self, selector: &str) {
        let id = self.element(selector).await;
        self.post(&format!("element/{id}/click"), json!({})).await;
    }

    pub async fn write(&self, selector: &str, text: &str) {
        let id = self.element(selector).await;
        self.post(&format!("element/{id}/value"), json!({"text": text})).await;
    }

    /// Presses a key, wherever the focus is.
    pub async fn press(&self, key: &str) {
        let strokes = json!([{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]);
        let keys = json!({"actions": [{"type": "key", "id": "keys", "actions": strokes}]});
        self.post("actions", keys).await;
    }

    /// Waits until the page shows a text.
    pub async fn until_shown(&self, text: &str) {
        until(&format!("the page shows {text:?}"), PATIENCE, async || {
            self.run("return document.body.innerText").await.as_str().unwrap().contains(text)
        })
        .await;
    }

    /// Waits until an element is there.
    pub async fn until_there(&self, selector: &str) {
        let script = format!("return !!document.querySelector({})", json!(selector));
        until(&format!("the page has {selector}"), PATIENCE, async || {
            self.run(&script).await == true
        })
        .await;
    }

    /// What the console said that is an error: a broken script, or what the policy forbids.
    pub async fn errors(&self) -> Vec<String> {
        let log = self.post("se/log", json!({"type": "browser"})).await;
        let lines = log.as_array().unwrap().iter().filter(|line| line["level"] == "SEVERE");
        lines.map(|line| line["message"].as_str().unwrap().to_owned()).collect()
    }

    /// A picture of what a window shows, as the README has it.
    pub async fn view(&self, name: &str) {
        self.shoot(name, false).await;
    }

    /// A picture of the whole page, where `ROUSTABOUT_TEST_PICTURES` names a folder for it.
    pub async fn picture(&self, name: &str) {
        self.shoot(name, true).await;
    }

    async fn shoot(&self, name: &str, whole: bool) {
        let Some(folder) = std::env::var_os("ROUSTABOUT_TEST_PICTURES").map(PathBuf::from) else {
            return;
        };
        let asked = json!({"captureBeyondViewport": whole, "format": "png"});
        let shot = self.devtools("Page.captureScreenshot", asked).await;
        let data = shot["data"].as_str().unwrap();
        let data =
            base64::Engine::decode(&base64::engine::general_purpose::STANDARD, data).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), data).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends its browser too.
        signal(self.driver.id(), "TERM");
        let _ = self.driver.wait();
    }
}
