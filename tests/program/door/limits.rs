//! Every limit of the door. Those of time are tried through the library with short ones, so
//! that nobody waits a minute; the rest on the daemon itself.

use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roustabout::webhook::listener::{self, Limits, Served};
use roustabout::webhook::{Apps, Bodies, Door, Handed, InFlight, Quota, signature::Secrets};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::daemon::{Daemon, SECRET};
use crate::support::until;
use crate::support::webhook::{
    NOBODY_THERE, Raw, Request, assert_accepts, door, door_with, queued,
};

/// A tenth of a second: short to wait for, long beside what a machine does meanwhile.
const SHORT: Duration = Duration::from_millis(100);
/// Longer than any test takes.
const NEVER: Duration = Duration::from_secs(60);

fn patient() -> Limits {
    Limits {
        head: NEVER,
        idle: NEVER,
        write: NEVER,
        linger: SHORT,
        last_requests: SHORT,
        ..Limits::default()
    }
}

/// A door in this process, and nobody who folds: what comes waits in the inbox, or, as long as there
/// is an `engine` that answers nobody, for ever.
struct Here {
    port: u16,
    engine: tokio::sync::mpsc::UnboundedReceiver<Handed>,
    folder: tempfile::TempDir,
}

async fn silent_door(limits: Limits, bodies: Bodies) -> Here {
    let folder = tempfile::tempdir().unwrap();
    let config = format!("[webhook]\nsecret = \"{SECRET}\"\n{NOBODY_THERE}");
    let nothing = roustabout::config::Environment::default();
    let loaded = roustabout::config::from_text(&config, "test", &nothing);
    let settings = loaded.unwrap_or_else(|errors| panic!("{errors}")).settings;
    let (sender, engine) = tokio::sync::mpsc::unbounded_channel();
    let store = roustabout::store::Store::open(&folder.path().join("door.db")).unwrap();
    let door = Door {
        secrets: Secrets::new(SECRET.into(), None),
        apps: Apps::default(),
        rules: Arc::new(roustabout::engine::rules(&settings)),
        hand: roustabout::webhook::Hand { engine: sender, store },
        bodies,
        in_flight: InFlight::in_folder(folder.path()),
        tally: roustabout::webhook::Tally::new(roustabout::ledger::Time(0), None),
        metrics: roustabout::metrics::Metrics::default(),
        refusals: Quota::default(),
        clock: clock::Clock::system(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = roustabout::webhook::router("/webhook", door);
    let (_, served) = tokio::sync::watch::channel(Served { router, limits, tls: None });
    tokio::spawn(listener::serve(listener, served, CancellationToken::new()));
    Here { port, engine, folder }
}

async fn door_here(limits: Limits, bodies: Bodies) -> Here {
    let mut door = silent_door(limits, bodies).await;
    door.engine.close();
    door
}

fn usual_bodies() -> Bodies {
    Bodies::up_to(25 * 1024 * 1024)
}

#[test]
fn the_limits_are_those_of_the_interface() {
    let limits = Limits::default();
    assert_eq!(limits.connections, 256);
    assert_eq!(limits.head, Duration::from_secs(10));
    assert_eq!(limits.idle, Duration::from_secs(60));
    let bodies = usual_bodies();
    assert_eq!(bodies.time, Duration::from_secs(10));
    assert_eq!(bodies.files, 64 * 1024 * 1024);
}

#[tokio::test]
async fn a_head_that_stops_half_way_is_cut_off() {
    let door = door_here(Limits { head: SHORT, ..patient() }, usual_bodies()).await;
    let mut raw = Raw::open(door.port).await;
    raw.say("POST /webhook HTT").await;
    raw.end().await;
    assert_accepts(door.port).await;
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut_off_although_something_always_comes() {
    let door = door_here(Limits { head: SHORT, ..patient() }, usual_bodies()).await;
    let mut raw = Raw::open(door.port).await;
    let started = Instant::now();
    raw.say("POST /webhook HTTP/1.1\r\nx: ").await;
    let (mut reading, mut writing) = raw.stream.split();
    let trickle = async {
        loop {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut writing, b"x").await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        _ = tokio::io::AsyncReadExt::read_u8(&mut reading) => {}
        () = trickle => {}
    }
    assert!(started.elapsed() >= SHORT);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_body_that_does_not_come_in_time_is_408_and_the_connection_ends() {
    let door = door_here(patient(), Bodies { time: SHORT, ..usual_bodies() }).await;
    let request = Request::job("one", &queued(7));
    for part in [0, 1, request.body.len() - 1] {
        let mut raw = Raw::open(door.port).await;
        raw.say(request.head()).await;
        raw.say(&request.body[..part]).await;
        let reply = raw.reply().await;
        assert_eq!(reply.outcome(), (408, "too slow".into()));
        assert_eq!(reply.header("connection"), Some("close"));
        raw.end().await;
    }
    assert_accepts(door.port).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_each_answer_starts_its_time_anew() {
    let idle = Duration::from_millis(400);
    let door = door_here(Limits { idle, ..patient() }, usual_bodies()).await;
    let mut silent = Raw::open(door.port).await;
    let mut used = Raw::open(door.port).await;
    for number in 0..3 {
        tokio::time::sleep(idle / 2).await;
        used.say(Request::job(&number.to_string(), &queued(7)).bytes()).await;
        assert_eq!(used.reply().await.status, 202);
    }
    silent.end().await;
    let answered = Instant::now();
    used.end().await;
    assert!(answered.elapsed() >= idle / 2, "its time began with the last answer");
    assert_accepts(door.port).await;
}

#[tokio::test]
async fn an_idle_connection_keeps_for_longer_than_a_head_may_take() {
    let door = door_here(Limits { head: SHORT, ..patient() }, usual_bodies()).await;
    let mut raw = Raw::open(door.port).await;
    raw.say(Request::job("one", &queued(7)).bytes()).await;
    assert_eq!(raw.reply().await.status, 202);
    // The point: it says nothing for longer than a head may take.
    tokio::time::sleep(3 * SHORT).await;
    raw.say(Request::job("two", &queued(7)).bytes()).await;
    assert_eq!(raw.reply().await.status, 202);
}

#[tokio::test]
async fn who_asks_and_never_reads_the_answers_is_not_read_either_and_cut_off() {
    let door = door_here(Limits { write: SHORT, ..patient() }, usual_bodies()).await;
    // Room for few answers on this side, so that the door soon cannot write.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = ([127, 0, 0, 1], door.port).into();
    let mut stream = socket.connect(address).await.unwrap();
    let many = b"GET / HTTP/1.1\r\n\r\n".repeat(1000);
    let mut asked = 0usize;
    let cut_off = async {
        use tokio::io::AsyncWriteExt;
        while stream.write_all(&many).await.is_ok() {
            asked += many.len();
        }
    };
    tokio::time::timeout(Duration::from_secs(30), cut_off).await.expect("it is cut off");
    assert!(asked < 16 * 1024 * 1024, "{asked} bytes were taken before");
    assert_accepts(door.port).await;
}

#[tokio::test]
async fn a_new_connection_on_which_nothing_comes_is_closed_in_the_time_of_a_head() {
    let door = door_here(Limits { head: SHORT, ..patient() }, usual_bodies()).await;
    Raw::open(door.port).await.end().await;
    assert_accepts(door.port).await;
}

#[tokio::test]
async fn where_all_connections_are_idle_the_longest_idle_gives_way_to_a_newcomer() {
    let daemon = door_with("max_connections = 3").await;
    let mut held = Vec::new();
    for number in 0..3 {
        let mut raw = Raw::open(daemon.door).await;
        raw.say(Request::job(&number.to_string(), &queued(7)).bytes()).await;
        assert_eq!(raw.reply().await.status, 202);
        held.push(raw);
    }
    assert_accepts(daemon.door).await;
    held.remove(0).end().await;
    let mut last = held.pop().unwrap();
    last.say(Request::job("again", &queued(7)).bytes()).await;
    assert_eq!(last.reply().await.status, 202, "one that was used later is left alone");
}

#[tokio::test]
async fn where_all_are_being_served_a_newcomer_is_told_503_and_comes_in_when_there_is_room() {
    let mut door = silent_door(Limits { connections: 3, ..patient() }, usual_bodies()).await;
    let mut served = Vec::new();
    for number in 0..3 {
        let mut raw = Raw::open(door.port).await;
        raw.say(Request::job(&number.to_string(), &queued(7)).bytes()).await;
        served.push((raw, door.engine.recv().await.unwrap()));
    }
    let refused = Request::job("four", &queued(7)).send(door.port).await;
    assert_eq!(refused.outcome(), (503, "unavailable".into()));
    assert_eq!(refused.header("retry-after"), Some("10"));
    assert_eq!(refused.header("connection"), Some("close"));
    let (mut raw, handed) = served.pop().unwrap();
    handed.waiting.send(Ok(roustabout::store::Kept::New.into())).unwrap();
    assert_eq!(raw.reply().await.outcome(), (202, "accepted".into()));
    door.engine.close();
    assert_accepts(door.port).await;
}

#[tokio::test]
async fn where_all_connections_wait_for_bodies_the_one_that_waits_longest_gives_way() {
    let daemon = door_with("max_connections = 3").await;
    let mut held = Vec::new();
    for number in 0..3 {
        let mut raw = Raw::open(daemon.door).await;
        // Well-formed, and of another secret: nobody knows before the body is there.
        let request = Request::job(&number.to_string(), &queued(7)).signed("a stranger's");
        let request = request.with("expect", "100-continue");
        raw.say(request.head()).await;
        assert_eq!(raw.reply().await.status, 100, "its body is waited for");
        held.push((raw, request));
    }
    assert_accepts(daemon.door).await;
    held.remove(0).0.end().await;
    let (mut last, request) = held.pop().unwrap();
    last.say(&request.body).await;
    assert_eq!(last.reply().await.status, 401, "a later one is left alone");
}

/// As GitHub's, and as long as nothing in earnest is.
fn large(delivery: &str, bytes: usize) -> Request {
    let mut payload = queued(7);
    payload["padding"] = " ".repeat(bytes).into();
    Request::job(delivery, &payload)
}

/// Sends all of it but the last byte.
async fn stalled(port: u16, request: &Request) -> Raw {
    let mut raw = Raw::open(port).await;
    raw.say(request.head()).await;
    raw.say(&request.body[..request.body.len() - 1]).await;
    raw
}

#[tokio::test]
async fn large_bodies_that_stall_give_way_to_one_that_comes_and_keep_no_small_one_out() {
    const MB: usize = 1024 * 1024;
    let bodies = Bodies { files: 5 * MB as u64, memory: 0, ..usual_bodies() };
    let door = door_here(patient(), bodies).await;
    let request = large("stalled", 2 * MB).signed("a stranger's");
    let mut held = [stalled(door.port, &request).await, stalled(door.port, &request).await];
    assert_accepts(door.port).await;
    // Slower by far than who sends without a pause.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let large = large("large", 3 * MB);
    assert_eq!(large.send(door.port).await.outcome(), (202, "accepted".into()));
    let [first, second] = &mut held;
    let gave_way =
        tokio::select! { reply = first.reply() => reply, reply = second.reply() => reply };
    assert_eq!(gave_way.outcome(), (503, "unavailable".into()));
    assert_eq!(gave_way.header("retry-after"), Some("10"));
    let files = std::fs::read_dir(door.folder.path()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    assert!(names.into_iter().all(|name| name.starts_with("door.db")), "no file has a name");
}

#[tokio::test]
async fn a_large_webhook_is_taken_like_any_other_by_json_and_by_form() {
    let daemon = door().await;
    for (delivery, form) in [("json", false), ("form", true)] {
        let request = large(delivery, 8 * 1024 * 1024);
        let request = if form { request.into_form() } else { request };
        assert_eq!(request.send(daemon.door).await.outcome(), (202, "accepted".into()));
    }
    assert_eq!(daemon.job(7).await["delivery"], "json");
    // Of other events nothing but the signature is looked at.
    let push = Request::hook("push", "push", vec![b' '; 24 * 1024 * 1024]);
    assert_eq!(push.send(daemon.door).await.outcome(), (202, "ignored".into()));
    assert_eq!(push.signed("another").send(daemon.door).await.status, 401);
}

/// A status line of `/proc`, in kB.
fn memory(daemon: &Daemon, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.process())).unwrap();
    let found = status.lines().find_map(|said| said.strip_prefix(line)).unwrap();
    found.trim_start_matches(':').trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// With whatever signature, and whether they stall or send as fast as they can, while webhooks in
/// earnest come and are answered.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_senders_of_25_mb_cost_little_memory_and_keep_nobody_out() {
    let daemon = door().await;
    assert_accepts(daemon.door).await;
    let before = memory(&daemon, "VmHWM");
    let wrong = Arc::new(large("wrong", 24 * 1024 * 1024).signed("a stranger's"));
    let none = Arc::new((*wrong).clone().without("x-hub-signature-256"));
    let port = daemon.door;
    let mut senders = tokio::task::JoinSet::new();
    for number in 0..20 {
        let request = if number % 2 == 0 { wrong.clone() } else { none.clone() };
        senders.spawn(async move {
            if number % 4 == 0 {
                return Some(stalled(port, &request).await);
            }
            let mut raw = Raw::open(port).await;
            raw.say(request.head()).await;
            raw.say(&request.body).await;
            // Refused for its signature, for its size or because it gave way; never accepted.
            let status = raw.reply_or_end().await.map(|reply| reply.status);
            assert!(matches!(status, None | Some(401 | 408 | 503)), "{status:?}");
            None
        });
    }
    let mut stalled = Vec::new();
    while let Some(done) = senders.join_next().await {
        stalled.extend(done.unwrap());
        assert_accepts(daemon.door).await;
    }
    let grown = memory(&daemon, "VmHWM") - before;
    assert!(grown < 20 * 1024, "{grown} kB more than at rest");
}

#[tokio::test]
async fn lengths_announced_and_not_sent_do_not_close_the_door() {
    let daemon = door().await;
    let mut held = Vec::new();
    for _ in 0..100 {
        let mut raw = Raw::open(daemon.door).await;
        let head = Request::hook("push", "x", "").with("content-length", "26214400");
        raw.say(head.bare_head()).await;
        held.push(raw);
    }
    assert_accepts(daemon.door).await;
}

#[tokio::test]
async fn who_asks_whether_to_go_on_is_told_so_or_told_why_not() {
    let daemon = door_with("max_body = \"64kB\"").await;
    let request = Request::job("one", &queued(7)).with("expect", "100-continue");
    let mut raw = Raw::open(daemon.door).await;
    raw.say(request.head()).await;
    assert_eq!(raw.reply().await.status, 100);
    raw.say(&request.body).await;
    assert_eq!(raw.reply().await.outcome(), (202, "accepted".into()));
    let mut raw = Raw::open(daemon.door).await;
    raw.say(request.with("content-length", "65537").bare_head()).await;
    assert_eq!(raw.reply().await.status, 413);
}

#[tokio::test]
async fn a_connection_is_used_again_also_for_requests_that_do_not_wait_for_answers() {
    let daemon = door().await;
    let mut raw = Raw::open(daemon.door).await;
    for number in 0..3 {
        raw.say(Request::job(&number.to_string(), &queued(7)).bytes()).await;
        assert_eq!(raw.reply().await.outcome(), (202, "accepted".into()));
    }
    let together: Vec<u8> =
        (3..6).flat_map(|n| Request::job(&n.to_string(), &queued(7)).bytes()).collect();
    raw.say(together).await;
    for number in 3..6 {
        assert_eq!(raw.reply().await.json()["delivery"], number.to_string());
    }
}

#[tokio::test]
async fn who_has_said_all_and_closed_its_side_still_gets_the_answer() {
    let daemon = door().await;
    let stream = std::net::TcpStream::connect(("127.0.0.1", daemon.door)).unwrap();
    std::io::Write::write_all(&mut &stream, &Request::job("one", &queued(7)).bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut &stream, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
}

#[tokio::test]
async fn absurd_heads_are_refused_and_nothing_comes_of_them() {
    let daemon = door().await;
    let signed = || Request::job("one", &queued(7));
    for length in ["-1", "1e3", "99999999999999999999999", "12, 13", "0x10", " "] {
        let mut raw = Raw::open(daemon.door).await;
        raw.say(signed().with("content-length", length).bare_head()).await;
        let status = raw.reply().await.status;
        assert!([400, 413].contains(&status), "{length}: {status}");
    }
    let mut many = signed();
    for number in 0..200 {
        many = many.with(&format!("x-{number}"), "x");
    }
    assert_eq!(many.send(daemon.door).await.status, 431);
    let long = signed().with("x-long", &"x".repeat(128 * 1024));
    assert_eq!(long.send(daemon.door).await.status, 431);
    for noise in
        ["\0\0\0\0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02\x00\r\n\r\n"]
    {
        let mut raw = Raw::open(daemon.door).await;
        raw.say(noise).await;
        let status = raw.reply_or_end().await.map(|reply| reply.status);
        assert!(matches!(status, None | Some(400..=499)), "{noise:?}: {status:?}");
    }
    assert_eq!(super::rows(&daemon, "deliveries"), 0);
    assert_accepts(daemon.door).await;
}

#[tokio::test]
async fn where_both_a_length_and_chunks_are_said_the_chunks_count_and_are_counted() {
    let daemon = door_with("max_body = \"64kB\"").await;
    let request = Request::job("one", &queued(7)).with("content-length", "3");
    let mut raw = Raw::open(daemon.door).await;
    raw.say(request.clone().with("transfer-encoding", "chunked").bare_head()).await;
    raw.say(format!("{:x}\r\n", request.body.len())).await;
    raw.say(&request.body).await;
    raw.say("\r\n0\r\n\r\n").await;
    assert_eq!(raw.reply().await.status, 202);
    for wrong in ["fffffffffffffffff\r\n", "-1\r\n", "zz\r\n", "5\r\nabc"] {
        let mut raw = Raw::open(daemon.door).await;
        raw.say(request.clone().with("transfer-encoding", "chunked").bare_head()).await;
        raw.say(wrong).await;
        tokio::io::AsyncWriteExt::shutdown(&mut raw.stream).await.unwrap();
        let status = raw.reply_or_end().await.map(|reply| reply.status);
        assert!(matches!(status, None | Some(400 | 413)), "{wrong:?}: {status:?}");
    }
    assert_accepts(daemon.door).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_everything_at_once_leaves_a_door_that_works() {
    let daemon = door_with("max_connections = 64").await;
    let port = daemon.door;
    let mut storm = tokio::task::JoinSet::new();
    for number in 0..400u32 {
        storm.spawn(async move {
            let mut raw = Raw::open(port).await;
            let request = Request::job(&format!("storm {number}"), &queued(number.into()));
            match number % 5 {
                0 => raw.say(request.bytes()).await,
                1 => raw.say(&request.bytes()[..150]).await,
                2 => raw.say(request.head()).await,
                3 => raw.say(request.signed("wrong").bytes()).await,
                _ => raw.say([number as u8; 3000]).await,
            }
        });
    }
    storm.join_all().await;
    until("the door works", Duration::from_secs(15), async || works(&daemon).await).await;
}

async fn works(daemon: &Daemon) -> bool {
    let mut raw = Raw::open(daemon.door).await;
    raw.say(Request::job("after the storm", &queued(7)).bytes()).await;
    raw.reply_or_end().await.is_some_and(|reply| reply.status == 202)
}
