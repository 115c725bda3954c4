//! TLS for HTTPS and WSS: the certificate and its key, where they come from, and their change while connections
//! are open.
//!
//! Owns the pair: the configured one, or a self-signed one that is made once and kept. Must not know HTTP. The
//! hard thing: a new pair is taken whole or not at all. What cannot be used is refused in words, at the
//! start with the end of it, later with the old pair staying; and no connection notices a change.

mod pair;
mod self_signed;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::config::Https;
use pair::{Pair, fingerprint, read};

/// How often the files are looked at for a change.
const LOOK_EVERY: Duration = Duration::from_millis(2_000);

/// A pair that cannot be used; one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {problem}")]
pub struct TlsError {
    /// The key of the configuration with the file, or the file.
    what: String,
    /// What is wrong, and what is wanted.
    problem: String,
}

/// The pair in force and where it comes from; clones share it.
#[derive(Debug, Clone)]
pub struct Tls {
    pair: Arc<Pair>,
    current: Arc<Current>,
}

/// What handshakes are answered with.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// How a pair's files looked; another look means that they may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look([Option<(SystemTime, u64, u64)>; 2]);

/// Whether the configured pair, if there is one, can be used.
///
/// # Errors
/// Says which file is at fault and what is wanted.
pub fn check(https: &Https) -> Result<(), TlsError> {
    match Pair::configured(https) {
        Some(pair) => read(&pair).map(drop),
        None => Ok(()),
    }
}

impl Tls {
    /// The configured pair; without one the self-signed pair in `directory`, made if it is not there.
    ///
    /// # Errors
    /// Says which file is at fault and what is wanted.
    pub fn prepare(https: &Https, directory: &Path) -> Result<Self, TlsError> {
        let configured = Pair::configured(https);
        let pair = match configured {
            Some(pair) => pair,
            None => self_signed::find_or_make(directory)?,
        };
        let key = read(&pair)?;
        tracing::info!(certificate = %pair.certificate.display(), self_signed = pair.self_signed, sha256 = %fingerprint(&key), "TLS certificate");
        Ok(Self { pair: Arc::new(pair), current: Arc::new(Current(RwLock::new(Arc::new(key)))) })
    }

    /// TLS 1.2 and 1.3 with the pair that is in force at each handshake.
    pub fn server_config(&self) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .expect("ring has cipher suites for both versions");
        builder.with_no_client_auth().with_cert_resolver(Arc::clone(&self.current) as Arc<dyn ResolvesServerCert>)
    }

    /// Takes a new pair in when the files have changed, and at each SIGHUP, until `shutdown`.
    ///
    /// # Errors
    /// The signal cannot be listened to.
    pub fn watch(self, shutdown: CancellationToken) -> std::io::Result<impl Future<Output = ()>> {
        let mut hang_up = signal(SignalKind::hangup())?;
        Ok(async move {
            let mut ticks = tokio::time::interval(LOOK_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut taken = self.look();
            let mut before = taken;
            loop {
                let asked = tokio::select! {
                    () = shutdown.cancelled() => return,
                    _ = hang_up.recv() => true,
                    _ = ticks.tick() => false,
                };
                let now = self.look();
                // Two files are written one after the other: they are read when they have come to rest.
                if asked || (now != taken && now == before) {
                    self.take_in(asked).await;
                    taken = now;
                }
                before = now;
            }
        })
    }

    /// Two short calls to the kernel, made here: a blocking thread for each look would keep idle ones alive for ever.
    fn look(&self) -> Look {
        Look([look_at(&self.pair.certificate), look_at(&self.pair.key)])
    }

    /// Reads the pair anew; what cannot be used changes nothing.
    async fn take_in(&self, asked: bool) {
        let pair = Arc::clone(&self.pair);
        let found = tokio::task::spawn_blocking(move || read(&pair)).await;
        let key = match found {
            Ok(Ok(key)) => key,
            Ok(Err(error)) => return tracing::warn!(%error, "the new certificate is refused; the old one stays"),
            Err(error) => return tracing::error!(%error, "reading the certificate panicked; the old one stays"),
        };
        let sha256 = fingerprint(&key);
        let mut current = self.current.0.write().unwrap_or_else(PoisonError::into_inner);
        let changed = current.cert != key.cert;
        *current = Arc::new(key);
        drop(current);
        if changed || asked {
            tracing::info!(certificate = %self.pair.certificate.display(), %sha256, changed, "TLS certificate read again");
        }
    }
}

/// Time of change, length and inode: a copy may keep the time, an edit the length.
fn look_at(path: &PathBuf) -> Option<(SystemTime, u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len(), meta.ino()))
}
