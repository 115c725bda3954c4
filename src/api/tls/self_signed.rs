//! The self-signed pair of a service that has been given none: made once, beside the store, and kept, so that
//! who has accepted its fingerprint need not do it again.
//!
//! The hard thing: the files are whole or not there, whenever the power goes; the key is written first, so a
//! key without its certificate is one that nobody has seen yet.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, SanType, date_time_ymd};

use super::TlsError;
use super::pair::Pair;

const CERTIFICATE_FILE: &str = "https-certificate.pem";
const KEY_FILE: &str = "https-key.pem";

/// Most names in the certificate; a host with more addresses has the first ones in it.
const NAMES_MAX: usize = 64;

/// Where the kernel and the distribution say this host's name. The first is not there under systemd's
/// `ProcSubset=pid`.
const HOST_NAME_FILES: [&str; 2] = ["/proc/sys/kernel/hostname", "/etc/hostname"];

/// The pair in this directory.
///
/// # Errors
/// It could not be made or written.
pub(super) fn find_or_make(directory: &Path) -> Result<Pair, TlsError> {
    let pair = Pair { certificate: directory.join(CERTIFICATE_FILE), key: directory.join(KEY_FILE), self_signed: true };
    let is_there = |path: &Path| path.symlink_metadata().is_ok();
    if !(is_there(&pair.certificate) && is_there(&pair.key)) {
        make(&pair, directory)
            .map_err(|problem| TlsError { what: "a self-signed certificate cannot be made".to_owned(), problem })?;
    }
    Ok(pair)
}

fn make(pair: &Pair, directory: &Path) -> Result<(), String> {
    let words = |error: rcgen::Error| error.to_string();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(words)?;
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, "srt-restream");
    parameters.subject_alt_names = names();
    // Whole centuries: the clock may be wrong at the first start, and this certificate is known by its fingerprint.
    parameters.not_before = date_time_ymd(2000, 1, 1);
    parameters.not_after = date_time_ymd(2100, 1, 1);
    let certificate = parameters.self_signed(&key).map_err(words)?;
    for (path, text, mode) in [(&pair.key, key.serialize_pem(), 0o600), (&pair.certificate, certificate.pem(), 0o644)] {
        write_whole(path, &text, mode).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    // The new names in the directory last as the files do.
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(|error| error.to_string())
}

/// Writes beside the file and moves it into place, so that nobody ever sees half of it.
fn write_whole(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    let beside = path.with_extension("pem.new");
    let _ = std::fs::remove_file(&beside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

/// What this host is called by: `localhost`, its name, its addresses.
fn names() -> Vec<SanType> {
    let name = HOST_NAME_FILES.iter().find_map(|file| std::fs::read_to_string(file).ok());
    let name = name.map(|name| name.trim().to_ascii_lowercase()).filter(|name| is_host_name(name));
    let mut dns: Vec<String> = vec!["localhost".to_owned()];
    dns.extend(name.filter(|name| name != "localhost"));
    let mut addresses: Vec<IpAddr> = vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])];
    // Without the list, the certificate has fewer names.
    for ip in if_addrs::get_if_addrs().unwrap_or_default().iter().map(if_addrs::Interface::ip) {
        let link_local = matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
        if !link_local && !addresses.contains(&ip) {
            addresses.push(ip);
        }
    }
    let dns = dns.into_iter().filter_map(|name| name.try_into().ok().map(SanType::DnsName));
    dns.chain(addresses.into_iter().map(SanType::IpAddress)).take(NAMES_MAX).collect()
}

fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.len() <= 253 && name.split('.').all(label)
}
