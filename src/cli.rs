//! The command line. Owns the arguments and their help; must not know what is done with them.

use std::path::PathBuf;

use clap::Parser;

/// Live SRT restreaming: publish over RTMP or SRT, forward to any number of SRT endpoints while it runs.
///
/// Exit codes: 0 stopped on request, 1 failed while starting or running, 2 bad command line, bad
/// configuration or missing GStreamer elements.
#[derive(Debug, Parser)]
#[command(name = "srt-restream", disable_version_flag = true)]
pub(crate) struct Arguments {
    /// Configuration file (TOML); without it ./srt-restream.toml if it exists. Every key can also be set as
    /// an environment variable, which is stronger: SRT_RESTREAM__SRT__LISTEN=0.0.0.0:4200.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Check the configuration and stop: exit code 0 if it is good, 2 if not.
    #[arg(long)]
    pub(crate) check_config: bool,

    /// Print the configuration in force as TOML, secrets redacted, and stop.
    #[arg(long)]
    pub(crate) print_config: bool,

    /// Print this program's version and those of GStreamer and libsrt found here, and stop.
    #[arg(short = 'V', long)]
    pub(crate) version: bool,
}
