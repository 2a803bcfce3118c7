//! The daemon's client for Nomad, in all that it asks, from the first greeting to a job that is
//! forgotten. How the stand-in's answers keep to a real Nomad's is the conformance test of its crate.

use crate::support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use roustabout::nomad::{
    ChildStatus, Client, ClientStatus, DispatchError, DispatchRequest, Dispatched, Error,
    EventStream, JobStatus, PayloadRule, Refusal,
};
use secrecy::SecretString;
use serde_json::{Value, json};

use support::{cluster, until, world};

const LIMIT: Duration = Duration::from_secs(60);

/// It, and a folder that its tasks may write to.
struct Cluster {
    nomad: Client,
    address: String,
    folder: PathBuf,
}

/// For whoever the tasks run as.
fn open_folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_answers_all_that_the_daemon_asks() {
    let agent = cluster::start().await;
    let (nomad, address) = (world::client(&agent), agent.address().to_string());
    let folder = open_folder();
    the_story(&Cluster { nomad, address, folder: folder.path().to_owned() }).await;
    agent.stop().await;
}

async fn the_story(cluster: &Cluster) {
    cluster.greets().await;
    cluster.shows_what_was_registered().await;
    cluster.refuses().await;
    cluster.runs_what_is_dispatched().await;
    cluster.says_how_a_task_failed().await;
    cluster.stops_and_purges().await;
    cluster.says_why_there_is_no_room().await;
    cluster.forgets_what_is_dead().await;
}

/// A parameterized job of one shell script. Each of its children has a `name` and may have a
/// `more`.
fn job(id: &str, payload: &str, script: &str) -> Value {
    json!({
        "ID": id, "Name": id, "Type": "batch", "Datacenters": ["*"],
        "Meta": {"own": "the job's"},
        "ParameterizedJob": {
            "Payload": payload, "MetaRequired": ["name"], "MetaOptional": ["more"],
        },
        "TaskGroups": [{
            "Name": "g",
            "RestartPolicy": {"Attempts": 0, "Mode": "fail"},
            "ReschedulePolicy": {"Attempts": 0, "Unlimited": false},
            "Tasks": [{
                "Name": "t", "Driver": "raw_exec",
                "Config": {"command": "/bin/sh", "args": ["-c", script]},
                "DispatchPayload": {"File": "given"},
                "Env": {"SHARED": "${NOMAD_ALLOC_DIR}/x"},
                "Resources": {"CPU": 50, "MemoryMB": 32},
                "KillTimeout": 20_000_000_000_i64, "KillSignal": "SIGINT",
            }],
        }],
    })
}

impl Cluster {
    async fn register(&self, job: &Value) {
        self.nomad.register(self.nomad.place(), job).await.unwrap();
    }

    async fn try_dispatch(
        &self,
        parent: &str,
        token: &str,
        payload: Option<&str>,
        meta: &[(&str, &str)],
    ) -> Result<Dispatched, DispatchError> {
        let payload = payload.map(SecretString::from);
        let meta: BTreeMap<String, SecretString> =
            meta.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
        let request =
            DispatchRequest { idempotency_token: token, payload: payload.as_ref(), meta: &meta };
        self.nomad.dispatch(self.nomad.place(), parent, &request).await
    }

    async fn dispatch(&self, parent: &str, token: &str) -> Dispatched {
        self.try_dispatch(parent, token, Some("s3cr3t"), &[("name", token)]).await.unwrap()
    }

    async fn refusal(&self, parent: &str, payload: Option<&str>, meta: &[(&str, &str)]) -> Refusal {
        match self.try_dispatch(parent, "refused", payload, meta).await {
            Err(DispatchError::Refused { kind, .. }) => kind,
            other => panic!("{other:?}"),
        }
    }

    async fn status(&self, child: &str) -> ChildStatus {
        let ids = [child.to_owned()];
        let all = self.nomad.statuses(self.nomad.place(), &ids, None, LIMIT);
        all.await.unwrap().jobs.remove(0)
    }

    async fn until_allocation_is(&self, child: &str, wanted: &ClientStatus) {
        until(&format!("{child} is {wanted}"), LIMIT, async || {
            let status = self.status(child).await;
            status.allocations.first().is_some_and(|it| it.client_status == *wanted)
        })
        .await;
    }

    async fn greets(&self) {
        assert!(!self.nomad.leader().await.unwrap().is_empty());
        let version = self.nomad.agent_version().await.unwrap().unwrap();
        assert!(version.starts_with("1.") || version.starts_with("2."), "{version}");
        assert_eq!(self.nomad.acl_token_self().await.unwrap(), None);
    }

    async fn shows_what_was_registered(&self) {
        let (nomad, place) = (&self.nomad, self.nomad.place());
        let absent = nomad.job(place, "shown").await;
        assert!(matches!(absent, Err(Error::NotFound { .. })), "{absent:?}");
        self.register(&job("shown", "required", "true")).await;
        let first = nomad.job(place, "shown").await.unwrap();
        assert_eq!((first.kind.as_str(), first.stop), ("batch", false));
        assert_eq!(first.status, JobStatus::Running);
        assert_eq!((first.parent_id, first.dispatch_idempotency_token), (None, None));
        let rules = first.parameterized.unwrap();
        assert_eq!(rules.payload, PayloadRule::Required);
        assert_eq!(
            (rules.meta_required, rules.meta_optional),
            (vec!["name".to_owned()], vec!["more".to_owned()])
        );
        self.register(&job("shown", "forbidden", "true")).await;
        let second = nomad.job(place, "shown").await.unwrap();
        assert!(second.job_modify_index > first.job_modify_index);
        assert!(second.version > first.version);
        assert_eq!(second.parameterized.unwrap().payload, PayloadRule::Forbidden);
    }

    async fn refuses(&self) {
        self.register(&job("with", "required", "true")).await;
        self.register(&job("without", "forbidden", "true")).await;
        let name: &[_] = &[("name", "a")];
        assert!(matches!(self.refusal("absent", None, name).await, Refusal::NoSuchJob { .. }));
        assert!(matches!(self.refusal("with", None, name).await, Refusal::PayloadRequired { .. }));
        assert!(matches!(
            self.refusal("without", Some("x"), name).await,
            Refusal::PayloadForbidden { .. }
        ));
        let keys = |kind| match kind {
            Refusal::MissingMeta { keys, .. } | Refusal::UnpermittedMeta { keys, .. } => keys,
            other => panic!("{other:?}"),
        };
        assert_eq!(keys(self.refusal("without", None, &[]).await), ["name"]);
        let foreign: &[_] = &[("name", "a"), ("who", "b")];
        assert_eq!(keys(self.refusal("without", None, foreign).await), ["who"]);
        let place = self.nomad.place();
        self.nomad.stop(place, "without").await.unwrap();
        assert!(matches!(self.refusal("without", None, name).await, Refusal::Stopped { .. }));
        self.nomad.purge(place, "without").await.unwrap();
        assert!(matches!(self.refusal("without", None, name).await, Refusal::NoSuchJob { .. }));
        // For so Nomad has it.
        self.nomad.stop(place, "absent").await.unwrap();
    }

    async fn runs_what_is_dispatched(&self) {
        let (nomad, place) = (&self.nomad, self.nomad.place());
        let mut stream = nomad.events(place).await.unwrap();
        let told = self.folder.join("told");
        let script = format!(
            "cat \"$NOMAD_TASK_DIR/given\" > {told}; test -d \"$NOMAD_SECRETS_DIR\" || exit 9\n\
             echo \" $NOMAD_META_name $NOMAD_META_own $NOMAD_JOB_PARENT_ID\" >> {told}\n\
             test \"$SHARED\" = \"$NOMAD_ALLOC_DIR/x\" && test -d \"$NOMAD_ALLOC_DIR\" || exit 8\n\
             echo \"$NOMAD_JOB_ID\" >> {told}",
            told = told.display()
        );
        self.register(&job("runs", "required", &script)).await;
        let token = "story-1@octo/app \"quoted\\\"";
        let sent = self.dispatch("runs", token).await;
        assert!(sent.child.starts_with("runs/dispatch-"), "{sent:?}");
        assert!(!sent.repeated && sent.evaluation.is_some());
        let again = self.dispatch("runs", token).await;
        assert_eq!((&again.child, again.repeated), (&sent.child, true));
        let other = self.dispatch("runs", "story-2").await;
        assert_ne!(other.child, sent.child);

        let found = nomad.child_by_token(place, Some("runs"), token).await.unwrap().unwrap();
        assert_eq!(
            (found.id.as_str(), found.parent_id.as_deref()),
            (sent.child.as_str(), Some("runs"))
        );
        assert_eq!(nomad.child_by_token(place, Some("runs"), "story").await.unwrap(), None);
        let all = nomad.children_by_token_prefix(place, "story-").await.unwrap();
        assert_eq!(all.len(), 2);
        let child = nomad.job(place, &sent.child).await.unwrap();
        assert_eq!(child.dispatch_idempotency_token.as_deref(), Some(token));
        assert_eq!(child.parent_id.as_deref(), Some("runs"));
        assert_eq!(child.parameterized, None, "it cannot be dispatched itself");
        let mut keys: Vec<_> = child.meta.keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["name", "own"]);

        // Each blocks until something has changed; the end is a change.
        let ids = [sent.child.clone(), other.child.clone(), "runs/dispatch-0-00000000".to_owned()];
        let mut seen = nomad.statuses(place, &ids, None, LIMIT).await.unwrap();
        assert_eq!(seen.jobs.len(), 2, "who is not there is left out");
        while seen.jobs.iter().any(|job| job.status != JobStatus::Dead) {
            let next = nomad.statuses(place, &ids, Some(seen.index), LIMIT).await.unwrap();
            assert!(next.index > seen.index, "nothing had changed within {LIMIT:?}");
            seen = next;
        }
        for job in &seen.jobs {
            assert_eq!(job.allocations.len(), 1);
            assert_eq!(job.allocations[0].client_status, ClientStatus::Complete);
        }
        let text = fs::read_to_string(&told).unwrap();
        assert!(text.starts_with("s3cr3t story-"), "{text}");
        assert!(text.contains(" the job's runs\nruns/dispatch-"), "{text}");

        let events = events_until(&mut stream, |job, topic, kind| {
            job == sent.child && topic == "Job" && kind == "AllocationUpdated"
        });
        let kinds = events.await;
        let of_child: Vec<(&str, &str)> = kinds
            .iter()
            .filter(|(job, _, _)| *job == sent.child)
            .map(|(_, topic, kind)| (topic.as_str(), kind.as_str()))
            .collect();
        for wanted in [
            ("Job", "JobRegistered"),
            ("Allocation", "PlanResult"),
            ("Allocation", "AllocationUpdated"),
        ] {
            assert!(of_child.contains(&wanted), "{wanted:?} is not in {of_child:?}");
        }
    }

    async fn says_how_a_task_failed(&self) {
        self.register(&job("fails", "required", "exit 3")).await;
        let child = self.dispatch("fails", "fails-1").await.child;
        self.until_allocation_is(&child, &ClientStatus::Failed).await;
        let place = self.nomad.place();
        let allocation = self.nomad.allocations(place, &child).await.unwrap().remove(0);
        assert!(!allocation.node_name.is_empty() && !allocation.node_id.is_empty());
        assert_eq!(allocation.desired_status, "run");
        let task = &allocation.task_states["t"];
        assert_eq!((task.state.as_str(), task.failed), ("dead", true));
        let kinds: Vec<&str> = task.events.iter().map(|event| event.kind.as_str()).collect();
        let at = |kind| kinds.iter().position(|it| *it == kind);
        assert!(at("Received") < at("Started") && at("Started") < at("Terminated"), "{kinds:?}");
        let end = task.events.iter().find(|event| event.kind == "Terminated").unwrap();
        assert_eq!(end.exit_code, Some(3));
        until("its job is dead", LIMIT, async || {
            self.status(&child).await.status == JobStatus::Dead
        })
        .await;
    }

    async fn stops_and_purges(&self) {
        let (nomad, place) = (&self.nomad, self.nomad.place());
        // It takes a moment to end, and says that it was told to; its own child never would.
        let (mark, pid) = (self.folder.join("ended"), self.folder.join("pid"));
        let script = format!(
            "trap 'sleep 3; echo told > {mark}; exit 0' INT\n\
             sleep 600 & echo $! > {pid}\nwhile true; do sleep 0.1; done",
            mark = mark.display(),
            pid = pid.display(),
        );
        self.register(&job("stops", "required", &script)).await;
        let child = self.dispatch("stops", "stops-1").await.child;
        self.until_allocation_is(&child, &ClientStatus::Running).await;
        until("it runs", LIMIT, async || {
            fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'))
        })
        .await;
        nomad.stop(place, &child).await.unwrap();
        assert!(nomad.job(place, &child).await.unwrap().stop);
        // Long before its task has ended.
        until("its job is dead", LIMIT, async || {
            self.status(&child).await.status == JobStatus::Dead
        })
        .await;
        assert_eq!(self.status(&child).await.allocations[0].client_status, ClientStatus::Running);
        self.until_allocation_is(&child, &ClientStatus::Complete).await;
        assert_eq!(fs::read_to_string(&mark).unwrap(), "told\n");
        let pid = fs::read_to_string(&pid).unwrap();
        let process = Path::new("/proc").join(pid.trim());
        until("nothing is left of it", LIMIT, async || !process.exists()).await;

        assert_eq!(
            self.dispatch("stops", "stops-1").await.child,
            child,
            "the token is still known"
        );
        let mut stream = nomad.events(place).await.unwrap();
        nomad.purge(place, &child).await.unwrap();
        let gone = nomad.job(place, &child).await;
        assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
        assert_eq!(nomad.allocations(place, &child).await.unwrap(), []);
        assert_eq!(nomad.child_by_token(place, None, "stops-1").await.unwrap(), None);
        events_until(&mut stream, |job, topic, kind| {
            job == child && topic == "Job" && kind == "JobDeregistered"
        })
        .await;
        let anew = self.dispatch("stops", "stops-1").await;
        assert!(anew.child != child && !anew.repeated);
        nomad.stop(place, &anew.child).await.unwrap();
        until("it is over", LIMIT, async || {
            self.status(&anew.child)
                .await
                .allocations
                .iter()
                .all(|it| it.client_status.is_terminal())
        })
        .await;
    }

    async fn says_why_there_is_no_room(&self) {
        let (nomad, place) = (&self.nomad, self.nomad.place());
        let mut large = job("large", "required", "true");
        large["TaskGroups"][0]["Tasks"][0]["Resources"]["MemoryMB"] = json!(4_000_000);
        let mut elsewhere = job("elsewhere", "required", "true");
        elsewhere["Constraints"] =
            json!([{"LTarget": "${attr.kernel.name}", "RTarget": "plan9", "Operand": "="}]);
        for (job, why) in [
            (large, "1 node: 1 lacks memory"),
            (elsewhere, "1 node: 1 filtered by ${attr.kernel.name} = plan9"),
        ] {
            self.register(&job).await;
            let child = self.dispatch(job["ID"].as_str().unwrap(), "no-room").await.child;
            until("it is said why", LIMIT, async || {
                let looks = nomad.evaluations(place, &child).await.unwrap();
                let failure = looks.iter().find_map(|look| look.failed_tg_allocs.get("g").cloned());
                failure.is_some_and(|failure| failure.in_words() == why)
            })
            .await;
            let waits = self.status(&child).await;
            assert_eq!((waits.status, waits.allocations.len()), (JobStatus::Pending, 0));
            let listed = nomad.child_by_token(place, waits.id.split("/dispatch").next(), "no-room");
            assert_eq!(listed.await.unwrap().unwrap().counts.queued, 1);
            nomad.stop(place, &child).await.unwrap();
            until("it is dead", LIMIT, async || {
                self.status(&child).await.status == JobStatus::Dead
            })
            .await;
            until("nobody looks for room any more", LIMIT, async || {
                let looks = nomad.evaluations(place, &child).await.unwrap();
                looks.iter().all(|look| look.status != "blocked" && look.status != "pending")
            })
            .await;
        }
    }

    async fn forgets_what_is_dead(&self) {
        let place = self.nomad.place();
        self.register(&job("short", "required", "true")).await;
        let child = self.dispatch("short", "short-1").await.child;
        self.until_allocation_is(&child, &ClientStatus::Complete).await;
        let url = format!("{}/v1/system/gc", self.address.trim_end_matches('/'));
        until("it is forgotten", LIMIT, async || {
            reqwest::Client::new().put(&url).send().await.unwrap().error_for_status().unwrap();
            matches!(self.nomad.job(place, &child).await, Err(Error::NotFound { .. }))
        })
        .await;
        assert!(self.nomad.job(place, "short").await.is_ok(), "not so its parent");
    }
}

/// Job, topic and kind of every event until one is so.
async fn events_until(
    stream: &mut EventStream,
    mut so: impl FnMut(&str, &str, &str) -> bool,
) -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    let reading = async {
        loop {
            for event in stream.next().await.unwrap() {
                let found = so(&event.job, &event.topic, &event.kind);
                all.push((event.job, event.topic, event.kind));
                if found {
                    return;
                }
            }
        }
    };
    let in_time = tokio::time::timeout(LIMIT, reading).await.is_ok();
    assert!(in_time, "not within {LIMIT:?}; until then: {all:#?}");
    all
}
