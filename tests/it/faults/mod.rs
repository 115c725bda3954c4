//! What goes wrong with receivers and the way to them, and what an endpoint then shows: the promises of
//! `docs/faults.md`, each broken on purpose, with a healthy endpoint beside it that must not notice.
//!
//! * [`promises`] is the document's table, [`stage`] what a fault is let loose on, [`drill`] how it is: several
//!   receivers suffer it at once, each a sample of how long noticing and recovering take.
//! * `FAULTS_TIMES` is how many receivers that are (2), `FAULTS_REPORT` a directory for what was measured.
//!   `scripts/faults` sets both and runs the tests that are too long for each change (`#[ignore]`).

mod crowd;
mod drill;
mod loss;
mod names;
mod promises;
mod refused;
mod report;
mod restarts;
mod stage;
mod stepped_clock;
mod steps;
mod torn;
