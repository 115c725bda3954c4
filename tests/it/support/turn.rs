//! A TURN server of somebody else's (coturn) on an address that is this test's alone.

use std::net::{Ipv4Addr, TcpStream};
use std::ops::RangeInclusive;
use std::process::Stdio;

use tempfile::TempDir;

use super::process::Tool;
use super::wait::{SOON, wait_until};

const USER: &str = "publisher";

/// The password of its one user.
pub const PASSWORD: &str = "turn-password-7351";

/// It listens there; nobody else uses the address.
const PORT: u16 = 3478;

/// A relay; dropped, it is gone.
#[derive(Debug)]
pub struct Turn {
    _server: Tool,
    /// Where it keeps what it wants to keep.
    _dir: TempDir,
    address: Ipv4Addr,
}

impl Turn {
    /// Where it is asked for relays.
    pub const ASKED: RangeInclusive<u16> = PORT..=PORT;
    /// Where the relays are.
    pub const RELAYS: RangeInclusive<u16> = 61_000..=61_063;

    /// Starts one and waits until it listens.
    pub fn start(address: Ipv4Addr) -> Self {
        let user = format!("--user={USER}:{PASSWORD}");
        let addresses = [format!("--listening-ip={address}"), format!("--relay-ip={address}")];
        let ports = [
            format!("--listening-port={PORT}"),
            format!("--min-port={}", Self::RELAYS.start()),
            format!("--max-port={}", Self::RELAYS.end()),
        ];
        // -n: no configuration file of this machine's.
        let fixed = ["-n", "--lt-cred-mech", "--realm=test", "--no-tls", "--no-dtls", "--no-cli", "--fingerprint"];
        let dir = TempDir::new().unwrap();
        let at = dir.path().display();
        let own = [format!("--pidfile={at}/pid"), format!("--userdb={at}/users"), "--log-file=stdout".to_owned()];
        let args = fixed.into_iter().map(str::to_owned).chain(own).chain(addresses).chain(ports).chain([user]);
        let server = Tool::start("turnserver", args, Stdio::null(), Stdio::null());
        wait_until(SOON, "the TURN server listens", || TcpStream::connect((address, PORT)).is_ok());
        Self { _server: server, _dir: dir, address }
    }

    /// As the service's settings have it.
    pub fn setting(&self) -> String {
        format!("turn://{USER}:{PASSWORD}@{}:{PORT}?transport=udp", self.address)
    }
}
