//! The pure core: which jobs wait, which runners are hired for them, and what to do next.
//!
//! Everything here is a function of its arguments: no I/O, no clock, no async. `step` folds
//! one event into the `State` and says what must be recorded and asked for; the `engine`
//! carries that out. Read `state` for what is remembered, then `step` for what happens.

pub mod backoff;
pub mod breaker;
pub mod child;
pub mod claim;
pub mod class;
pub mod deposit;
pub mod details;
pub mod effect;
pub mod event;
pub mod happening;
pub mod ids;
pub mod job;
pub mod matching;
pub mod nomad_place;
pub mod observation;
pub mod patterns;
pub mod policy;
pub mod pool;
pub mod repository;
mod robots;
mod roster;
pub mod run_questions;
pub mod runner;
pub mod runner_name;
pub mod schedule;
pub mod state;
pub mod step;
pub mod superseded;
pub mod time;
pub mod topics;
pub mod unserved;
pub mod warm;
pub mod why;
mod work;

pub use backoff::backoff;
pub use breaker::{Breaker, BreakerKey, InVain};
pub use claim::{Claim, ClaimRefusal, Claimed, NoCredential, Ticket};
pub use class::{Class, ClassKey, ScopeKey};
pub use deposit::{Deposit, DepositAt, Keeper};
pub use details::{Details, RunDetails, Step};
pub use effect::{Effects, Record, Request};
pub use event::Event;
pub use happening::{About, Gone, Happened, Happening, Release, Renamed, Unused};
pub use ids::{DeliveryId, JobId, PoolName, RepositoryId, RunId, RunnerName};
pub use job::{Job, JobReport, JobStatus, RunCause, Verdict};
pub use nomad_place::NomadPlace;
pub use patterns::Patterns;
pub use pool::{Pool, Rules, ScopeKind};
pub use repository::{Repository, Visibility, is_full_name};
pub use roster::Roster;
pub use run_questions::RunQuestions;
pub use runner::{Leaving, Runner, RunnerState};
pub use schedule::Schedule;
pub use state::State;
pub use step::step;
pub use superseded::Superseded;
pub use time::Time;
pub use topics::Topics;
pub use warm::{Warm, WarmSupply};
