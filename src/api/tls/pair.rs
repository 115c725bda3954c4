//! A certificate and its key in two PEM files, read and checked.
//!
//! The hard thing: each way in which a pair can be unusable is told apart, by the name of the file that has
//! to be changed; and nothing of the key is ever shown.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use sha2::{Digest as _, Sha256};

use super::TlsError;
use crate::config::Https;

/// Largest PEM file read, in bytes: a chain of ten certificates has 20 KB.
const FILE_LEN_MAX: u64 = 1024 * 1024;

/// Where a pair lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    /// PEM file of the certificate and its chain.
    pub(super) certificate: PathBuf,
    /// PEM file of the private key.
    pub(super) key: PathBuf,
    /// Whether it is the service's own, rather than the operator's.
    pub(super) self_signed: bool,
}

impl Pair {
    /// The operator's, if there is one.
    pub(super) fn configured(https: &Https) -> Option<Self> {
        let (certificate, key) = https.certificate.clone().zip(https.key.clone())?;
        Some(Self { certificate, key, self_signed: false })
    }

    fn name(&self, key: &str, path: &Path) -> String {
        if self.self_signed {
            return format!("the kept self-signed pair: {}", path.display());
        }
        format!("{key} = \"{}\"", path.display())
    }

    fn certificate_fault(&self, problem: impl Into<String>) -> TlsError {
        TlsError { what: self.name("https.certificate", &self.certificate), problem: self.advise(problem.into()) }
    }

    fn key_fault(&self, problem: impl Into<String>) -> TlsError {
        TlsError { what: self.name("https.key", &self.key), problem: self.advise(problem.into()) }
    }

    fn advise(&self, problem: String) -> String {
        if self.self_signed { problem + "; remove both files, and a new pair is made" } else { problem }
    }
}

/// Reads a pair and sees that its parts belong together.
///
/// # Errors
/// Names the file that is at fault, what is wrong with it, and what is wanted.
pub(super) fn read(pair: &Pair) -> Result<CertifiedKey, TlsError> {
    let pem = read_file(&pair.certificate).map_err(|problem| pair.certificate_fault(problem))?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| pair.certificate_fault(format!("is broken PEM: {}", words(&error))))?;
    if chain.is_empty() {
        return Err(pair.certificate_fault("holds no certificate; wanted: PEM with -----BEGIN CERTIFICATE-----"));
    }
    let pem = read_file(&pair.key).map_err(|problem| pair.key_fault(problem))?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        PemError::NoItemsFound if holds(&pem, "BEGIN ENCRYPTED PRIVATE KEY") => {
            pair.key_fault("is encrypted; wanted: a key without a passphrase")
        }
        PemError::NoItemsFound => pair.key_fault("holds no private key; wanted: PEM with -----BEGIN PRIVATE KEY-----"),
        other => pair.key_fault(format!("is broken PEM: {}", words(&other))),
    })?;
    if holds(&pem, "Proc-Type: 4,ENCRYPTED") {
        return Err(pair.key_fault("is encrypted; wanted: a key without a passphrase"));
    }
    let key = rustls::crypto::ring::sign::any_supported_type(&key).map_err(|_| {
        pair.key_fault("is no key that can be used; wanted: RSA of 2048 bits or more, ECDSA P-256 or P-384, Ed25519")
    })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            let certificate = pair.certificate.display();
            Err(pair.key_fault(format!("is not the key of the certificate in {certificate}, which comes first there")))
        }
        Err(error) => Err(pair.certificate_fault(format!("holds a certificate that can't be read: {error}"))),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > FILE_LEN_MAX {
        return Err(format!("is larger than {FILE_LEN_MAX} bytes; wanted: a PEM file"));
    }
    Ok(bytes)
}

fn holds(pem: &[u8], text: &str) -> bool {
    pem.windows(text.len()).any(|window| window == text.as_bytes())
}

/// The kind of fault without the text at fault, which may be of the key.
fn words(error: &PemError) -> &'static str {
    match error {
        PemError::MissingSectionEnd { .. } => "a section has no end",
        PemError::IllegalSectionStart { .. } => "a section begins badly",
        PemError::Base64Decode(_) => "a section is no base64",
        PemError::SectionTooLarge => "a section is too large",
        _ => "it cannot be read",
    }
}

/// SHA-256 of the certificate, as browsers and `openssl x509 -fingerprint` show it.
pub(super) fn fingerprint(key: &CertifiedKey) -> String {
    let mut text = String::new();
    let certificate = key.cert.first().map(CertificateDer::as_ref).unwrap_or_default();
    for byte in Sha256::digest(certificate) {
        // Writing into a string cannot fail.
        let _ = write!(text, "{}{byte:02X}", if text.is_empty() { "" } else { ":" });
    }
    text
}
