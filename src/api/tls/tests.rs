//! Good pairs, and every bad one with its words.

use std::os::unix::fs::PermissionsExt as _;

use rcgen::{CertificateParams, KeyPair};

use super::*;

/// Certificate and key in PEM.
fn pem(name: &str) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new([name.to_owned()]).expect("a name").self_signed(&key).expect("signed");
    (certificate.pem(), key.serialize_pem())
}

/// A pair of files with these texts.
struct Files {
    https: Https,
    _directory: tempfile::TempDir,
}

impl Files {
    fn new(certificate: &str, key: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let https = Https {
            listen: ([127, 0, 0, 1], 0).into(),
            certificate: Some(directory.path().join("a.pem")),
            key: Some(directory.path().join("a.key")),
        };
        let files = Self { https, _directory: directory };
        files.write(certificate, key);
        files
    }

    fn write(&self, certificate: &str, key: &str) {
        for (path, text) in [(&self.https.certificate, certificate), (&self.https.key, key)] {
            std::fs::write(path.as_ref().expect("a path"), text).expect("written");
        }
    }
}

#[test]
fn each_bad_pair_is_one_line_that_names_the_file_and_the_wish() {
    let (certificate, key) = pem("a");
    let (_, other) = pem("b");
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let large = "x".repeat(1024 * 1024 + 1);
    for (certificate_pem, key_pem, key_name, wanted) in [
        (certificate.as_str(), other.as_str(), "https.key", "is not the key of the certificate in "),
        (&key, &key, "https.certificate", "holds no certificate; wanted: PEM with -----BEGIN CERTIFICATE-----"),
        ("", &key, "https.certificate", "holds no certificate"),
        (&large, &key, "https.certificate", "is larger than 1048576 bytes"),
        (&certificate[..certificate.len() / 2], &key, "https.certificate", "is broken PEM: a section has no end"),
        (&certificate.replacen("MII", "M*I", 1), &key, "https.certificate", "is broken PEM: a section is no base64"),
        (no_certificate, &key, "https.certificate", "holds a certificate that can't be read"),
        (&certificate, &certificate, "https.key", "holds no private key; wanted: PEM with -----BEGIN PRIVATE KEY-----"),
        (&certificate, encrypted, "https.key", "is encrypted; wanted: a key without a passphrase"),
        (&certificate, no_key, "https.key", "is no key that can be used; wanted: RSA"),
        (&certificate, &key[..key.len() / 2], "https.key", "is broken PEM: a section has no end"),
    ] {
        let error = check(&Files::new(certificate_pem, key_pem).https).expect_err(wanted).to_string();
        assert!(error.starts_with(&format!("{key_name} = \"")), "{error}");
        assert!(error.contains(wanted), "{error}");
        assert!(!error.contains('\n') && !error.contains(key.lines().nth(1).expect("a line")), "{error}");
    }
    let files = Files::new(&certificate, &key);
    check(&files.https).expect("good");
    for (path, key_name) in [(&files.https.key, "https.key"), (&files.https.certificate, "https.certificate")] {
        std::fs::remove_file(path.as_ref().expect("a path")).expect("removed");
        let error = check(&files.https).expect_err("missing").to_string();
        assert!(error.starts_with(key_name) && error.contains("cannot be read: No such file"), "{error}");
    }
    check(&Https { certificate: None, key: None, ..files.https.clone() }).expect("nothing configured is nothing bad");
}

#[test]
fn the_self_signed_pair_is_made_once_and_only_its_owner_reads_the_key() {
    let directory = tempfile::tempdir().expect("a directory");
    let https = Https { listen: ([127, 0, 0, 1], 0).into(), certificate: None, key: None };
    let leaf = |tls: &Tls| tls.current.0.read().expect("sound").cert[0].clone();
    let first = Tls::prepare(&https, directory.path()).expect("made");
    let again = Tls::prepare(&https, directory.path()).expect("found");
    assert_eq!(leaf(&first), leaf(&again));
    let (certificate, key) = (directory.path().join("https-certificate.pem"), directory.path().join("https-key.pem"));
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&key), mode(&certificate) & 0o700), (0o600, 0o600));
    let names: Vec<_> =
        std::fs::read_dir(directory.path()).expect("readable").map(|entry| entry.expect("entry").file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");

    // A key alone is one that nobody has seen the certificate of.
    std::fs::remove_file(&certificate).expect("removed");
    let new = Tls::prepare(&https, directory.path()).expect("made anew");
    assert_ne!(leaf(&new), leaf(&first));

    // A damaged one is not thrown away behind the operator's back.
    std::fs::write(&key, "x").expect("written");
    let error = Tls::prepare(&https, directory.path()).expect_err("damaged").to_string();
    assert!(error.starts_with("the kept self-signed pair: ") && error.ends_with("and a new pair is made"), "{error}");

    let nowhere = Tls::prepare(&https, &directory.path().join("none")).expect_err("no directory").to_string();
    assert!(nowhere.starts_with("a self-signed certificate cannot be made: ") && nowhere.contains("No such file"));
}

#[tokio::test]
async fn a_new_pair_is_taken_in_and_a_bad_one_changes_nothing() {
    let ((certificate, key), (other_certificate, other_key)) = (pem("a"), pem("b"));
    let files = Files::new(&certificate, &key);
    let tls = Tls::prepare(&files.https, Path::new("/nowhere")).expect("good");
    let leaf = || tls.current.0.read().expect("sound").cert[0].clone();
    let first = leaf();
    files.write(&other_certificate, &key);
    tls.take_in(true).await;
    assert_eq!(leaf(), first);
    files.write(&other_certificate, &other_key);
    tls.take_in(true).await;
    assert_ne!(leaf(), first);
}
