//! Carries out what the ledger asks for, each request in a task of its own, and sends the
//! answer back as an event. A request's row is on disk before it comes here.

use std::sync::Arc;

use clock::Clock;
use tokio_util::task::TaskTracker;

use super::Setup;
use super::children::phase_of;
use super::claims::{Claims, Handed};
use super::desk::Desk;
use super::dispatching::Dispatcher;
use super::health::Health;
use super::parents;
use super::places::at;
use crate::credential::{Jit, Tokens};
use crate::deposit::Deposits;
use crate::ledger::effect::ChildAt;
use crate::ledger::event::{Answer, Failure, FoundChild, MintOutcome};
use crate::ledger::pool::CredentialKind;
use crate::ledger::{Event, Request};
use crate::nomad::{self, Client, Place};

pub struct Workers {
    tasks: TaskTracker,
    crew: Arc<Crew>,
}

/// What every request may need.
struct Crew {
    desk: Desk,
    nomad: Client,
    dispatcher: Dispatcher,
    deposits: Deposits,
    tokens: Arc<Tokens>,
    claims: Claims,
    clock: Clock,
    watches: parents::Watches,
}

impl Workers {
    pub fn new(setup: &Setup, claims: Claims, health: Health) -> Self {
        let crew = Crew::new(setup, Arc::default(), claims, health);
        Self { tasks: TaskTracker::new(), crew: Arc::new(crew) }
    }

    /// From here on requests are carried out by another setup; those under way end by theirs.
    pub fn renew(&mut self, setup: &Setup, health: Health) {
        let Crew { tokens, claims, .. } = &*self.crew;
        self.crew = Arc::new(Crew::new(setup, tokens.clone(), claims.clone(), health));
    }

    pub fn carry_out(&self, request: Request) {
        let crew = self.crew.clone();
        // A watch has no end of its own, and is nothing to wait for.
        if let Request::WatchParent { pool, place, parent } = request {
            let place = at(&place);
            let refused = crew.dispatcher.refused_as(&place, &parent);
            let (nomad, events) = (crew.nomad.clone(), crew.claims.events.clone());
            crew.watches.watch(nomad, place, parent, refused, pool, events);
            return;
        }
        self.tasks.spawn(async move {
            if let Some(event) = crew.answer(request).await {
                // A closed loop is a daemon that has ended; the rows know what is owed.
                let _ = crew.claims.events.send(event);
            }
        });
    }

    /// Whether requests are under way.
    pub fn are_busy(&self) -> bool {
        !self.tasks.is_empty()
    }
}

impl Crew {
    fn new(setup: &Setup, tokens: Arc<Tokens>, claims: Claims, health: Health) -> Self {
        let Setup { settings, forges, nomad, vault, clock } = setup.clone();
        let deposits = Deposits::new(nomad.clone(), vault);
        let dispatcher = Dispatcher::new(
            settings,
            nomad.clone(),
            tokens.clone(),
            deposits.clone(),
            health.clone(),
            clock.clone(),
        );
        let desk = Desk::new(forges, health);
        let watches = parents::Watches::default();
        Self { desk, nomad, dispatcher, deposits, tokens, claims, clock, watches }
    }

    async fn answer(&self, request: Request) -> Option<Event> {
        Some(match request {
            Request::Mint { scope, target, life } => {
                let answer = self.desk.mint(&target, life).await.map(|token| {
                    let ends = token.ends;
                    self.tokens.put(scope.clone(), token);
                    ends
                });
                Event::CredentialMinted { scope, answer }
            }
            Request::MintFor { runner, target, labels, group, replaces } => {
                let (group, labels) = (group.as_deref(), &labels);
                let asked = match replaces {
                    true => self.desk.mint_in_place(&runner, &target, labels, group).await,
                    false => self.desk.mint_for(&runner, &target, labels, group).await,
                };
                let outcome = match asked {
                    Ok(Jit { id, config }) => {
                        let configs =
                            if replaces { &self.tokens.claimed } else { &self.tokens.jit };
                        configs.put(runner.clone(), config);
                        MintOutcome::Registered { id }
                    }
                    Err(outcome) => outcome,
                };
                Event::MintedFor { runner, outcome }
            }
            Request::HandOver { ticket, runner, scope, credential, life } => {
                let (secret, ends) = match credential {
                    CredentialKind::RegistrationToken => {
                        let token = self.tokens.get(&scope, self.clock.now().into(), life);
                        token.map(|token| (token.secret, token.ends)).unzip()
                    }
                    CredentialKind::Jit => (self.tokens.claimed.get(&runner), None),
                };
                let Some(secret) = secret else {
                    // Nobody waits: nothing is minted for nobody.
                    let waits = self.claims.waiting.waits(ticket);
                    return waits.then_some(Event::CredentialLost { ticket, runner });
                };
                let handed = Handed { runner, kind: credential, secret, ends };
                self.claims.waiting.answer(ticket, Ok(handed));
                return None;
            }
            Request::RefuseClaim { ticket, why } => {
                self.claims.waiting.answer(ticket, Err(why));
                return None;
            }
            Request::ForgetClaim { runner } => {
                self.tokens.claimed.forget(&runner);
                return None;
            }
            Request::Dispatch(order) => Event::DispatchAnswered {
                outcome: self.dispatcher.dispatch(&order).await,
                runner: order.runner,
            },
            Request::FindChild { runner, token, place, parent } => {
                let answer = self.find_child(&at(&place), &parent, &token).await;
                if matches!(answer, Ok(Some(_))) {
                    self.tokens.jit.forget(&runner);
                }
                Event::ChildLookedUp { runner, answer: from_nomad(answer) }
            }
            Request::FindAtForge { runner, target, id, repositories, runs } => {
                Event::LookedForAtForge {
                    answer: self.desk.find(&runner, &target, id, &repositories, &runs).await,
                    runner,
                }
            }
            Request::LookAtPlacement { runner, at: ChildAt { place, child } } => {
                let phase = phase_of(&self.nomad, &at(&place), &child).await;
                Event::PlacementSeen { runner, answer: from_nomad(phase) }
            }
            Request::StopChild { runner, at: ChildAt { place, child } } => {
                let stopped = self.nomad.stop(&at(&place), &child).await;
                Event::ChildStopped { runner, answer: from_nomad(stopped) }
            }
            Request::DeleteRegistration { runner, target, id } => {
                self.tokens.jit.forget(&runner);
                self.tokens.claimed.forget(&runner);
                Event::RegistrationDeleted { runner, answer: self.desk.delete(&target, id).await }
            }
            Request::RemoveDeposit(at) => {
                let answer = self.deposits.remove(&at).await;
                Event::DepositRemoved { at, answer }
            }
            Request::AskRun { repository, full_name, run } => Event::RunKnown {
                run,
                answer: self.desk.run_facts(repository, &full_name, run).await,
            },
            Request::AskJobs { class, runs, names, registrations } => {
                let asked = self.desk.jobs_and_registrations(&runs, &names, &registrations);
                let answer = asked.await;
                Event::JobsSeen { class, names, answer }
            }
            Request::AskJob { full_name, job, at_work } => {
                Event::JobSeen { job, answer: self.desk.job(&full_name, job, at_work).await }
            }
            Request::LookAtSuperseded { full_name, older, newer } => {
                let answer = self.desk.pair(&full_name, older, newer).await;
                Event::SupersededSeen { older, answer }
            }
            Request::CancelRun { full_name, run, force } => {
                Event::RunCancelled { run, answer: self.desk.cancel(&full_name, run, force).await }
            }
            Request::DeleteStray { runner, target, id } => {
                // Whatever comes of it, the next listing shows.
                if let Err(failure) = self.desk.delete(&target, id).await {
                    tracing::debug!(%runner, reason = failure.reason, "cannot delete the registration of an untracked runner");
                }
                return None;
            }
            Request::Look { repository, full_name } => {
                let answer = self.desk.look(&full_name).await;
                Event::Looked { repository, full_name, answer }
            }
            Request::WatchParent { .. } => return None,
        })
    }

    async fn find_child(
        &self,
        place: &Place,
        parent: &str,
        token: &str,
    ) -> Result<Option<FoundChild>, nomad::Error> {
        let Some(stub) = self.nomad.child_by_token(place, Some(parent), token).await? else {
            return Ok(None);
        };
        // Lists do not show what a child was given.
        let nameless = match self.nomad.job(place, &stub.id).await {
            Ok(job) => !job.meta.contains_key("runner_name"),
            Err(nomad::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(FoundChild { child: stub.id, nameless }))
    }
}

fn from_nomad<T>(answer: Result<T, nomad::Error>) -> Answer<T> {
    answer.map_err(|error| Failure { reason: error.to_string(), retry_after: None })
}
