//! What the daemon cannot do yet, so that no scenario asks it. The list is to become empty: whoever
//! makes one of these true deletes its line.

use crate::troubles::Trouble;

pub const NOT_YET: &[Trouble] = &[
    // Needs sweeps over queued and running jobs.
    Trouble::WebhooksLost,
    // Needs failed deliveries fetched by API; until then somebody redelivers them by hand.
    Trouble::NobodyRedelivers,
    // Needs sweeps: a runner is hired with the old name's URL, for ever.
    Trouble::RenamedInSilence,
    // Needs sweeps and the adoption of children and runners that are ours.
    Trouble::DatabaseLost,
    // Needs children that are ours and unknown to be adopted or let go.
    Trouble::RequestsActLate,
    // Needs a child to be stopped when Nomad replaces its allocation; until then the task itself
    // sees that it is the second one, and ends.
    Trouble::SecondAllocations,
    // Needs listings of GitHub's runners: who registered later than it was looked for (GitHub's
    // listing lags, its machine was cut off) stays listed. Until then somebody deletes those.
    Trouble::StraysStay,
    // Needs `boot_timeout` and `idle_timeout` for runners that somebody waits for.
    Trouble::RunnersHang,
];
