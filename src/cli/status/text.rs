//! `status` as text: what scripts and people read who do not watch.

use serde_json::Value;

/// The column names are the keys of the JSON.
pub fn table(status: &Value) -> String {
    let number = |value: &Value, key: &str| value[key].as_u64().unwrap_or_default();
    let mut text = format!(
        "{} of {} runners alive\n\n{:<16} {:>7} {:>6} {:>5} {:>6} {:>11}\n",
        number(&status["capacity"], "alive"),
        number(&status["capacity"], "max"),
        "POOL",
        "WAITING",
        "SUPPLY",
        "BUSY",
        "ALIVE",
        "MAX_RUNNERS",
    );
    for pool in status["pools"].as_array().into_iter().flatten() {
        text += &format!(
            "{:<16} {:>7} {:>6} {:>5} {:>6} {:>11}\n",
            pool["name"].as_str().unwrap_or_default(),
            number(pool, "waiting"),
            number(pool, "supply"),
            number(pool, "busy"),
            number(pool, "alive"),
            number(pool, "max_runners"),
        );
        if pool["paused"] == true {
            let until = pool["paused_until"].as_str();
            let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
            text += &format!("  paused{until}: no runner is launched\n");
        }
        if number(pool, "warm_asked") > 0 {
            let (idle, asked) = (number(pool, "warm_idle"), number(pool, "warm_asked"));
            text += &format!("  warm: {idle} of {asked} idle\n");
        }
        for reason in pool["waiting_for"].as_array().into_iter().flatten() {
            text += &format!("  {}\n", reason.as_str().unwrap_or_default());
        }
    }
    let oldest = &status["oldest_waiting"];
    if !oldest.is_null() {
        text += &format!(
            "\noldest waiting: job {} of {}, {} s{}\n",
            number(oldest, "job"),
            oldest["repository"].as_str().unwrap_or_default(),
            number(oldest, "waits"),
            oldest["reason"].as_str().map(|why| format!(": {why}")).unwrap_or_default(),
        );
    }
    text += &unserved(&status["unserved"]);
    text += &deliveries(&status["deliveries"]);
    for who in status["degraded"].as_array().into_iter().flatten() {
        text += &format!("\ndegraded: {}\n", who.as_str().unwrap_or_default());
    }
    text
}

fn unserved(unserved: &Value) -> String {
    let newest = &unserved["newest"];
    if newest.is_null() {
        return String::new();
    }
    format!(
        "\nunserved: {}{} that no pool serves, the newest job {} of {}: {}\n",
        if unserved["more"] == true { "at least " } else { "" },
        match unserved["jobs"].as_u64().unwrap_or_default() {
            1 => "1 job".to_owned(),
            jobs => format!("{jobs} jobs"),
        },
        newest["job"],
        newest["repository"].as_str().unwrap_or_default(),
        newest["reason"].as_str().unwrap_or_default(),
    )
}

fn deliveries(deliveries: &Value) -> String {
    let Some(since) = deliveries["since"].as_str() else { return String::new() };
    let outcomes = deliveries["outcomes"].as_object().into_iter().flatten();
    let outcomes: Vec<String> =
        outcomes.map(|(outcome, count)| format!("{count} {outcome}")).collect();
    format!(
        "\ndeliveries since {since}: {}; last_good: {}\n",
        if outcomes.is_empty() { "none".to_owned() } else { outcomes.join(", ") },
        deliveries["last_good"].as_str().unwrap_or("never"),
    )
}
