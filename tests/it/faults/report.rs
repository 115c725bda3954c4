//! What was measured, for `scripts/faults`: a file per fault in the directory that `FAULTS_REPORT` names.

use std::path::PathBuf;

use serde_json::Value;

/// Receivers that suffer a fault at once where `FAULTS_TIMES` does not say.
const TIMES: usize = 2;

/// How many suffer a fault at once: the samples of a measurement.
pub fn times() -> usize {
    std::env::var("FAULTS_TIMES").map_or(TIMES, |text| text.parse().expect("FAULTS_TIMES is a number"))
}

/// Writes what was measured of a fault, if somebody wants it, and prints it.
pub fn write(name: &str, measured: &Value) {
    println!("{name}: {measured}");
    let Some(directory) = std::env::var_os("FAULTS_REPORT") else { return };
    let path = PathBuf::from(directory).join(format!("{name}.json"));
    std::fs::write(&path, measured.to_string()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
