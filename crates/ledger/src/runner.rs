//! A runner: one hiring, from the wish to the end, and whatever is known of it on the way.
//! How it gets from state to state is in `step::dispatching`, `step::children` and
//! `step::letting_go`.

use serde::{Deserialize, Serialize};

use super::pool::CredentialKind;
use super::{Claimed, ClassKey, Deposit, JobId, NomadPlace, RunnerName, Time};

/// Where a hiring stands. `busy` is not among these: a runner that took a job did so whatever
/// we knew of its dispatch at that moment (see `Runner::took`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "detail")]
pub enum RunnerState {
    /// Owed: a dispatch was refused or could not be sent. Takes no room.
    Wanted,
    /// A request may be under way, or its outcome is unknown.
    Dispatching(Sending),
    /// Nomad has it.
    Dispatched,
    /// GitHub lists it.
    Registered,
    /// Surplus, on its way out.
    Withdrawing(Leaving),
    /// Ended in Nomad; its registration may be left at GitHub.
    Clearing,
    Gone,
}

/// What is being done about a dispatch whose outcome is not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sending {
    /// Not sent yet: its own credential is asked for.
    Minting,
    /// The same, after a request whose answer was lost: it may be registered.
    MintingAgain,
    /// A registration that carries its name is looked for, and deleted: nobody has its credential.
    Unregistering,
    /// The request is on its way (after a restart: may have been).
    Sent,
    /// Nomad is asked for a child with its token.
    LookingUp,
    /// Nomad has none: GitHub is asked whether a job or a runner carries the name.
    AskingForge,
    /// GitHub knows the name: Nomad is asked once more, for the request may have arrived since.
    LookingAgain,
}

/// How far the letting go has come (architecture: "Letting go of a runner").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "step")]
pub enum Leaving {
    /// Nomad is asked whether it is placed.
    LookingForPlacement,
    /// It is not placed, or not wanted by anyone: its child is being stopped.
    Stopping,
    /// It is placed: GitHub is asked whether it is registered.
    LookingForRegistration,
    /// Placed and not registered yet: looked for again until its time to boot is over.
    Booting { look_again: Time },
    /// Its registration is being deleted.
    Deleting,
    /// Its registration is gone: an idle runner now ends by itself.
    Ending { since: Time },
    /// Time is over and GitHub is asked once more whether a running job names it.
    LookingForJob,
    /// Takes no `runner_name`, and is placed: only its own jobspec can end it.
    LeftAlone,
}

/// The job that GitHub said this runner took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Took {
    /// `None`: GitHub would not delete it (422), so it runs a job that we have no name for.
    pub job: Option<JobId>,
    pub done: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runner {
    pub name: RunnerName,
    pub class: ClassKey,
    /// `owner/name` or the organization's login when it was hired: part of its token.
    pub scope_name: String,
    pub state: RunnerState,
    pub took: Option<Took>,
    /// When its job was first said to have ended.
    #[serde(default)]
    pub done_at: Option<Time>,
    /// Let go as soon as the outcome of its dispatch is known.
    pub unwanted: bool,
    /// Let go for good: its time is over, or something has been done to it. Never supply again.
    #[serde(default)]
    pub spent: bool,
    /// It was told that it is older than `max_lifetime`.
    #[serde(default)]
    pub told_old: bool,
    /// How often its way out ended with a job that it turned out to have.
    #[serde(default)]
    pub steps_back: u32,
    /// No deadline is due before this: the last one that was turned out not to apply.
    #[serde(default)]
    pub not_before: Option<Time>,
    /// The job that caused the hiring.
    pub cause: Option<JobId>,
    /// Where its child is, whatever the config says by now; `None` only in rows of versions that
    /// kept what the pool named instead, see `Rules::place_of_runner`.
    #[serde(default)]
    pub place: Option<NomadPlace>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(default)]
    pub credential: CredentialKind,
    /// Its task asks for its credential, and was sent none.
    #[serde(default)]
    pub by_claim: bool,
    #[serde(default)]
    pub claimed: Option<Claimed>,
    /// Where its credential lies; `None`: nowhere, or not any more.
    #[serde(default)]
    pub deposit: Option<Deposit>,
    /// It was told that somebody else claimed its credential.
    #[serde(default)]
    pub told_of_claim: bool,
    /// The parameterized job: Nomad keeps idempotency for each.
    pub parent: String,
    pub child: Option<String>,
    /// Its parameterized job takes no `runner_name`, so GitHub's word cannot be matched to it.
    pub nameless: bool,
    pub hired_at: Time,
    /// When the first request left; an hour later nobody sends again.
    pub first_sent_at: Option<Time>,
    /// When the last one left, which is the one that counts for `placement_timeout`.
    #[serde(default)]
    pub last_sent_at: Option<Time>,
    /// How often the request left.
    pub sends: u32,
    /// When its credential ends (a time, not the secret).
    pub credential_ends: Option<Time>,
    pub placed_at: Option<Time>,
    /// When GitHub was first seen to list it.
    #[serde(default)]
    pub registered_at: Option<Time>,
    pub github_id: Option<u64>,
    /// When GitHub listed it as not connected, where it did so the last time that it was seen there.
    #[serde(default)]
    pub offline: Option<Time>,
    /// Failed tries in a row of whatever is being tried now.
    pub tries: u32,
    pub reason: Option<String>,
    pub ended_at: Option<Time>,
    /// A question about it is under way; a restart forgets and asks again.
    #[serde(skip)]
    pub in_flight: bool,
    /// When its deadlines are looked at next: its one timer for them.
    #[serde(skip)]
    pub clock: Option<Time>,
}

impl Runner {
    /// One that is owed a dispatch, and of which nothing else is known.
    pub fn new(name: RunnerName, class: ClassKey, scope_name: String, now: Time) -> Self {
        Self {
            name,
            class,
            scope_name,
            state: RunnerState::Wanted,
            took: None,
            done_at: None,
            unwanted: false,
            spent: false,
            told_old: false,
            steps_back: 0,
            not_before: None,
            cause: None,
            place: None,
            credential: CredentialKind::default(),
            by_claim: false,
            claimed: None,
            deposit: None,
            told_of_claim: false,
            namespace: None,
            region: None,
            parent: String::new(),
            child: None,
            nameless: false,
            hired_at: now,
            first_sent_at: None,
            last_sent_at: None,
            sends: 0,
            credential_ends: None,
            placed_at: None,
            registered_at: None,
            github_id: None,
            offline: None,
            tries: 0,
            reason: None,
            ended_at: None,
            in_flight: false,
            clock: None,
        }
    }

    /// The forge registers it before it starts, so being listed is no sign of life of it.
    pub fn is_jit(&self) -> bool {
        self.credential == CredentialKind::Jit
    }

    /// Its credential is asked for before its dispatch.
    pub fn is_minted_first(&self) -> bool {
        self.is_jit() && !self.by_claim
    }

    /// Its registration is known, and was made before it was started.
    pub fn is_minted(&self) -> bool {
        self.is_jit() && self.github_id.is_some()
    }

    /// Has not been sent to Nomad, for its credential is not there yet.
    pub fn is_minting(&self) -> bool {
        matches!(
            self.state,
            RunnerState::Dispatching(
                Sending::Minting | Sending::MintingAgain | Sending::Unregistering
            )
        )
    }

    /// Hired, wanted, and not yet busy.
    pub fn is_supply(&self) -> bool {
        self.took.is_none()
            && !self.unwanted
            && matches!(
                self.state,
                RunnerState::Wanted
                    | RunnerState::Dispatching(_)
                    | RunnerState::Dispatched
                    | RunnerState::Registered
            )
    }

    /// Nomad has no place for it, and has said why.
    pub fn is_held_up(&self) -> bool {
        self.state == RunnerState::Dispatched && self.placed_at.is_none() && self.reason.is_some()
    }

    /// Takes up room: its child lives, or may.
    pub fn is_alive(&self) -> bool {
        matches!(
            self.state,
            RunnerState::Dispatching(_)
                | RunnerState::Dispatched
                | RunnerState::Registered
                | RunnerState::Withdrawing(_)
        )
    }

    /// Ended in Nomad or never there, so that nothing but a registration can be left of it.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, RunnerState::Clearing | RunnerState::Gone)
    }

    /// Nobody needs it, but nothing has been done to it yet: it can be supply again.
    pub fn can_return(&self) -> bool {
        let untouched = match self.state {
            RunnerState::Dispatching(_) => self.unwanted,
            RunnerState::Withdrawing(
                Leaving::LookingForPlacement
                | Leaving::LookingForRegistration
                | Leaving::Booting { .. }
                | Leaving::LeftAlone,
            ) => true,
            _ => false,
        };
        untouched && !self.spent && self.took.is_none()
    }

    /// The look that must come just before a stop.
    pub fn look_before_stopping(&self) -> Leaving {
        match (
            self.placed_at,
            self.github_id.filter(|_| !self.is_jit() || self.registered_at.is_some()),
        ) {
            _ if self.nameless => Leaving::LookingForPlacement,
            (None, _) => Leaving::LookingForPlacement,
            (Some(_), None) => Leaving::LookingForRegistration,
            (Some(_), Some(_)) => Leaving::LookingForJob,
        }
    }

    /// How much would be thrown away with it: the least advanced goes first.
    pub fn advance(&self) -> u8 {
        match self.state {
            RunnerState::Wanted => 0,
            RunnerState::Dispatching(_) => 1,
            RunnerState::Dispatched if self.placed_at.is_none() => 2,
            RunnerState::Dispatched => 3,
            _ => 4,
        }
    }

    /// The word for people.
    pub fn phase(&self) -> &'static str {
        match (&self.state, self.took) {
            (RunnerState::Gone, _) => "gone",
            (RunnerState::Clearing, _) => "clearing",
            (_, Some(took)) if took.done => "finishing",
            (_, Some(_)) => "busy",
            (RunnerState::Wanted, _) => "wanted",
            (RunnerState::Dispatching(_), _) if self.is_minting() => "minting",
            (RunnerState::Dispatching(_), _) => "dispatching",
            (RunnerState::Dispatched, _) => "dispatched",
            (RunnerState::Registered, _) => "registered",
            (RunnerState::Withdrawing(_), _) => "withdrawing",
        }
    }
}
