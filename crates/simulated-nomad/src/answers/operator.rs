//! `/v1/operator/scheduler/configuration`.
//!
//! Read next: `../scheduler_configuration.rs`.

use serde_json::{Value, json};

use super::call::{Call, Reply, Written};
use super::gojson::{self, Shape, Struct};
use super::reading::Found;
use super::refusal::Refusal;
use crate::acl::Caller;
use crate::http::View;
use crate::scheduler_configuration::{Algorithm, Preemption, SchedulerConfiguration};
use crate::tables::Table;

static REQUEST: Struct = Struct {
    name: "api.SchedulerConfiguration",
    fields: &[
        ("SchedulerAlgorithm", Shape::Text),
        ("PreemptionConfig", Shape::Struct(&PREEMPTION)),
        ("MemoryOversubscriptionEnabled", Shape::Bool),
        ("RejectJobRegistration", Shape::Bool),
        ("PauseEvalBroker", Shape::Bool),
    ],
};
static PREEMPTION: Struct = Struct {
    name: "api.PreemptionConfig",
    fields: &[
        ("SystemSchedulerEnabled", Shape::Bool),
        ("SysBatchSchedulerEnabled", Shape::Bool),
        ("BatchSchedulerEnabled", Shape::Bool),
        ("ServiceSchedulerEnabled", Shape::Bool),
    ],
};

pub(super) async fn configuration(call: Call) -> Reply {
    call.read(|view, _, _| {
        let index = view.nomad.table(Table::SchedulerConfiguration);
        let body = json!({
            "SchedulerConfig": shown(view.nomad.scheduler_configuration()),
            "Index": index, "KnownLeader": true, "LastContact": 0, "NextToken": "",
        });
        Ok(Found::list(index, body))
    })
    .await
}

pub(super) fn configure(call: &Call) -> Reply {
    let body = gojson::decode(&call.body, &REQUEST)
        .map_err(|why| Refusal::new(400, format!("Error parsing scheduler config: {why}")))?;
    let new = read(&body).map_err(|why| Refusal::new(400, why))?;
    let checked = call.query.said("cas").map(|text| text.parse::<u64>().unwrap_or(0));
    call.write(|view, _, now| {
        let known = view.nomad.scheduler_configuration().modify_index;
        // Another one changed it meanwhile.
        let updated = checked.is_none_or(|index| index == known);
        let index = match updated {
            true => view.nomad.configure_scheduler(new, now),
            false => view.nomad.table(Table::SchedulerConfiguration),
        };
        Ok(Written::new(index, json!({"Updated": updated, "Index": index})))
    })
}

/// # Errors
/// Where the operator lets nobody register or dispatch but management tokens.
pub(super) fn takes_jobs(view: &View<'_>, caller: &Caller) -> Result<(), Refusal> {
    if view.nomad.scheduler_configuration().reject_job_registration && !caller.is_management() {
        let why = "Job registration, dispatch, and scale are disabled by the scheduler \
                   configuration";
        return Err(Refusal::new(403, why));
    }
    Ok(())
}

fn read(body: &Value) -> Result<SchedulerConfiguration, String> {
    let on = |value: &Value| value.as_bool().unwrap_or(false);
    let preemption = &body["PreemptionConfig"];
    Ok(SchedulerConfiguration {
        algorithm: match body["SchedulerAlgorithm"].as_str().unwrap_or_default() {
            "" | "binpack" => Algorithm::Binpack,
            "spread" => Algorithm::Spread,
            other => return Err(format!("invalid scheduler algorithm: {other}")),
        },
        preemption: Preemption {
            system: on(&preemption["SystemSchedulerEnabled"]),
            sysbatch: on(&preemption["SysBatchSchedulerEnabled"]),
            batch: on(&preemption["BatchSchedulerEnabled"]),
            service: on(&preemption["ServiceSchedulerEnabled"]),
        },
        memory_oversubscription: on(&body["MemoryOversubscriptionEnabled"]),
        reject_job_registration: on(&body["RejectJobRegistration"]),
        pause_eval_broker: on(&body["PauseEvalBroker"]),
        ..SchedulerConfiguration::default()
    })
}

fn shown(own: &SchedulerConfiguration) -> Value {
    json!({
        "SchedulerAlgorithm": own.algorithm.as_str(),
        "PreemptionConfig": {
            "SystemSchedulerEnabled": own.preemption.system,
            "SysBatchSchedulerEnabled": own.preemption.sysbatch,
            "BatchSchedulerEnabled": own.preemption.batch,
            "ServiceSchedulerEnabled": own.preemption.service,
        },
        "MemoryOversubscriptionEnabled": own.memory_oversubscription,
        "RejectJobRegistration": own.reject_job_registration,
        "PauseEvalBroker": own.pause_eval_broker,
        "CreateIndex": own.create_index, "ModifyIndex": own.modify_index,
    })
}
