//! The program: command line → configuration → logging → GStreamer → the service, and an honest exit code.
//! Must not know how the service works. The hard thing: whatever goes wrong before logging works must
//! still be one clear line each on stderr.

mod cli;

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use srt_restream::api::tls;
use srt_restream::app::App;
use srt_restream::config::{self, Loaded, Settings};
use srt_restream::media::preflight;
use srt_restream::{os, srt, telemetry};

/// Failed while starting (a port is taken, the database is unusable) or while running; may heal by itself.
const EXIT_FAILED: u8 = 1;

/// Somebody has to change something first: command line (clap's own code for it), configuration, packages.
const EXIT_UNUSABLE: u8 = 2;

/// Threads for blocking calls (pipeline state changes, connects). A connect to a dead peer blocks for
/// about 3 s; this many can be under way at once, and more wait for their turn.
const BLOCKING_THREADS_MAX: usize = 512;

/// How long blocking calls may still run after the service has stopped; what hangs then is left behind.
const RUNTIME_STOP_TIMEOUT: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    if arguments.version {
        say(&versions());
        return ExitCode::SUCCESS;
    }
    let Loaded { settings, file } = match config::load(arguments.config.as_deref()) {
        Ok(loaded) => loaded,
        Err(error) => return unusable(error.problems()),
    };
    let file = file.map_or("no file".to_owned(), |file| file.display().to_string());
    if arguments.print_config {
        say(&settings.to_redacted_toml());
    } else if arguments.check_config {
        say(&format!("{file}: the configuration is good\n"));
    }
    if arguments.print_config || arguments.check_config {
        return ExitCode::SUCCESS;
    }
    // Not a part of --check-config, which also runs where the files are not yet.
    if let Err(error) = tls::check(&settings.https) {
        return unusable([error]);
    }
    if let Err(error) = telemetry::init(&settings.log) {
        return unusable([error]);
    }
    favour_throughput();
    if let Err(code) = prepare_gstreamer() {
        return code;
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        gstreamer = %gstreamer::version_string(),
        libsrt = %srt::version(),
        config = file,
        "starting"
    );
    serve(settings)
}

fn versions() -> String {
    format!("srt-restream {}\n{}\nlibsrt {}\n", env!("CARGO_PKG_VERSION"), gstreamer::version_string(), srt::version())
}

/// Starts libsrt and GStreamer and looks for every element that will be needed.
fn prepare_gstreamer() -> Result<(), ExitCode> {
    // libsrt first, and for good: see srt::startup.
    srt::startup().map_err(|error| unusable([format!("libsrt cannot start: {error}")]))?;
    gstreamer::init().map_err(|error| unusable([format!("GStreamer cannot start: {error}")]))?;
    telemetry::set_gstreamer_thresholds();
    let missing = preflight::missing_elements();
    if missing.is_empty() {
        return Ok(());
    }
    let code = unusable(&missing);
    complain(&format!("on Debian: apt-get install {}", preflight::debian_packages(&missing).join(" ")));
    Err(code)
}

/// Lets the threads take turns instead of interrupting each other: with many endpoints dozens of them wake at each
/// picture. All inherit it, so it comes before the first one.
fn favour_throughput() {
    if let Err(error) = os::schedule_as_batch() {
        tracing::debug!(%error, "SCHED_BATCH was refused; the threads stay under SCHED_OTHER");
    }
}

fn serve(settings: Settings) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("worker")
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("cannot start the worker threads: {error}")),
    };
    let outcome = runtime.block_on(async { App::prepare(settings).await?.run().await });
    runtime.shutdown_timeout(RUNTIME_STOP_TIMEOUT);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // One line, with the chain of causes.
        Err(error) => failed(&format!("{error:#}")),
    }
}

fn failed(message: &str) -> ExitCode {
    tracing::error!("{message}");
    ExitCode::from(EXIT_FAILED)
}

fn unusable<T: Display>(problems: impl IntoIterator<Item = T>) -> ExitCode {
    for problem in problems {
        complain(&problem.to_string());
    }
    ExitCode::from(EXIT_UNUSABLE)
}

fn complain(line: &str) {
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(std::io::stderr(), "srt-restream: {line}");
}

fn say(text: &str) {
    // A reader that has seen enough (`| head`) is no error.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
