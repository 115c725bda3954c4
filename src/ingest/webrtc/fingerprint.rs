//! Whether the certificate of a DTLS handshake is the one that the offer named (RFC 8122, RFC 8827 section 6.5).
//!
//! Pure. webrtcbin before GStreamer 1.28.5 takes any certificate, so this is the only place that looks. The
//! hard thing is to fail closed: no fingerprint that can be checked, or a certificate that cannot be read,
//! is a mismatch.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::sdp::Fingerprint;

/// The peer is not who the offer says, or cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Mismatch {
    #[error("the certificate of the DTLS handshake cannot be read")]
    Unreadable,
    #[error("the offer names no fingerprint by sha-256, sha-384 or sha-512")]
    NoneUsable,
    #[error(
        "the certificate of the DTLS handshake has the fingerprint {algorithm} {presented}, which the offer does not name"
    )]
    Other { algorithm: &'static str, presented: String },
}

/// A hash of a certificate.
type Hash = fn(&[u8]) -> Vec<u8>;

/// The hashes that are taken, the strongest first.
const BY_STRENGTH: [(&str, Hash); 3] = [
    ("sha-512", |der| Sha512::digest(der).to_vec()),
    ("sha-384", |der| Sha384::digest(der).to_vec()),
    ("sha-256", |der| Sha256::digest(der).to_vec()),
];

/// Checks the certificate in `pem` against the offer's fingerprints: of those by the strongest hash that is
/// offered, one must be its own (RFC 8122, section 5).
pub(super) fn verify(pem: &str, offered: &[Fingerprint]) -> Result<(), Mismatch> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| Mismatch::Unreadable)?;
    for (algorithm, hash) in BY_STRENGTH {
        let mut named = offered.iter().filter(|print| print.algorithm.eq_ignore_ascii_case(algorithm)).peekable();
        if named.peek().is_none() {
            continue;
        }
        let digest = hash(&der);
        return if named.any(|print| print.digest == digest) {
            Ok(())
        } else {
            Err(Mismatch::Other { algorithm, presented: hex(&digest) })
        };
    }
    Err(Mismatch::NoneUsable)
}

/// `AB:CD:…`, as SDP writes it.
pub(super) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(algorithm: &str, digest: Vec<u8>) -> Fingerprint {
        Fingerprint { algorithm: algorithm.into(), digest }
    }

    #[test]
    fn a_certificate_is_known_by_the_strongest_hash_the_offer_names() {
        let made = rcgen::generate_simple_self_signed(["test".to_owned()]).expect("a certificate");
        let (pem, der) = (made.cert.pem(), made.cert.der().to_vec());
        let [sha256, sha512] = [Sha256::digest(&der).to_vec(), Sha512::digest(&der).to_vec()];
        assert_eq!(verify(&pem, &[print("sha-256", sha256.clone())]), Ok(()));
        assert_eq!(verify(&pem, &[print("sha-256", vec![0; 32]), print("SHA-256", sha256.clone())]), Ok(()));
        assert_eq!(verify(&pem, &[print("sha-512", sha512.clone()), print("sha-256", vec![0; 32])]), Ok(()));
        let weaker_alone_fits = [print("sha-512", vec![0; 64]), print("sha-256", sha256.clone())];
        let other = |algorithm, digest: &[u8]| Err(Mismatch::Other { algorithm, presented: hex(digest) });
        assert_eq!(verify(&pem, &weaker_alone_fits), other("sha-512", &sha512));
        assert_eq!(verify(&pem, &[print("sha-256", vec![1; 32])]), other("sha-256", &sha256));
        assert_eq!(verify(&pem, &[print("sha-256", sha256[..31].to_vec())]), other("sha-256", &sha256));
        for weak in [vec![], vec![print("sha-1", vec![0; 20])]] {
            assert_eq!(verify(&pem, &weak), Err(Mismatch::NoneUsable));
        }
        assert_eq!(verify("", &[print("sha-256", sha256.clone())]), Err(Mismatch::Unreadable));
        assert_eq!(verify("-----BEGIN CERTIFICATE-----\nÄÖ", &[print("sha-256", sha256)]), Err(Mismatch::Unreadable));
    }
}
