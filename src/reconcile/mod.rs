//! The place of reconciliation: comparing the ledger with what GitHub and Nomad say, by sweeps
//! and by failed deliveries, speaking only in observations.
//!
//! Not built yet. Until it is, a webhook that never arrived is not found again, and children
//! of a lost database are not adopted. `docs/architecture.md` says what will stand here.
