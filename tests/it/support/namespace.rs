//! A network namespace of its own, joined to this one by a pair of virtual Ethernet devices whose packets can be
//! lost, refused or held back.
//!
//! Needs root. The hard thing: names and addresses must not meet those of another run, and all goes away on drop.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::process::has_root_for;

/// How many a process can have, and how many there are: 10.200.0.0/13 in pieces of four addresses.
/// `scripts/faults` knows the names too.
const NUMBERS: u32 = 16;
const NUMBERS_OF_ALL: u32 = 1 << 17;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A namespace with one device; its peer is in ours.
#[derive(Debug)]
pub struct Namespace {
    number: u32,
    name: String,
    /// Our end of the pair.
    device: String,
    /// Its peer inside.
    there: String,
    inside: String,
    /// Whether the rules of [`Self::refuse_udp`] stand.
    refuses: AtomicBool,
    /// Our address, where its inhabitants find what listens here.
    pub outside: Ipv4Addr,
}

impl Namespace {
    /// Makes one. As root it must work, or the tests have lost it; see [`has_root_for`] for `None`.
    pub fn make() -> Option<Self> {
        if !has_root_for("a network namespace") {
            return None;
        }
        // Runs side by side have different process ids, but one that was killed leaves what it had.
        let next = || std::process::id() * NUMBERS + NEXT.fetch_add(1, Ordering::Relaxed) % NUMBERS;
        let made = (0..NUMBERS).find_map(|_| Self::numbered(next() % NUMBERS_OF_ALL));
        Some(made.expect("of sixteen names, all are taken: `ip netns list`"))
    }

    /// Makes the one of this number, unless there is one: that is another's, and stays.
    fn numbered(number: u32) -> Option<Self> {
        let base = u32::from(Ipv4Addr::new(10, 200, 0, 0)) + number * 4;
        let (outside, inside) = (Ipv4Addr::from(base + 1), Ipv4Addr::from(base + 2));
        let name = format!("srtr-{number:x}");
        let (device, there) = (format!("so{number:x}"), format!("si{number:x}"));
        if Path::new("/run/netns").join(&name).exists() {
            return None;
        }
        run(&format!("ip netns add {name}"));
        // From here on it is ours, and goes on drop.
        let this = Self {
            number,
            name: name.clone(),
            device: device.clone(),
            there: there.clone(),
            inside: inside.to_string(),
            refuses: AtomicBool::new(false),
            outside,
        };
        run(&format!("ip link add {device} type veth peer name {there} netns {name}"));
        run(&format!("ip addr add {outside}/30 dev {device}"));
        run(&format!("ip link set {device} up"));
        run(&format!("ip -n {name} addr add {inside}/30 dev {there}"));
        run(&format!("ip -n {name} link set {there} up"));
        run(&format!("ip -n {name} link set lo up"));
        run(&format!("ip -n {name} route add default via {outside}"));
        Some(this)
    }

    /// The address of its inhabitants.
    pub fn address(&self) -> &str {
        &self.inside
    }

    /// A program that will run inside.
    pub fn command(&self, program: &str) -> Command {
        let entry = self.entry();
        let mut command = Command::new(&entry[0]);
        command.args(&entry[1..]).arg(program);
        command
    }

    /// What is put before a command line to run it inside; the process stays the one that was started.
    pub fn entry(&self) -> Vec<String> {
        ["ip", "netns", "exec", &self.name].map(str::to_owned).to_vec()
    }

    /// Loses so many UDP packets of a hundred, in each direction. What is not media (TCP) is spared: the browser
    /// is steered by it.
    pub fn lose_percent(&self, percent: u32) {
        self.nft("add table netdev loss");
        // At the device and not in the inet hooks, where a sender would be told of each loss.
        for hook in ["egress", "ingress"] {
            self.nft(&format!(
                "add chain netdev loss {hook} {{ type filter hook {hook} device {} priority 0 ; }}",
                self.there
            ));
            self.nft(&format!("flush chain netdev loss {hook}"));
            if percent > 0 {
                // Of a hundred, not one is above 99.
                let some = if percent < 100 { format!("numgen random mod 100 < {percent}") } else { String::new() };
                self.nft(&format!("add rule netdev loss {hook} meta l4proto udp {some} counter drop"));
            }
        }
    }

    /// Gives its inhabitants another address, of another network.
    pub fn add_address(&self) -> Ipv4Addr {
        let first: Ipv4Addr = self.inside.parse().expect("an address");
        // 10.208.0.0/13, beside that of the first.
        let other = Ipv4Addr::from(u32::from(first) + (8 << 16));
        run(&format!("ip route add {other}/32 dev {}", self.device));
        run(&format!("ip -n {} addr add {other}/30 dev {}", self.name, self.there));
        other
    }

    /// Loses all UDP packets from and to the first address, for good.
    pub fn cut_first_address(&self) {
        self.nft("add table netdev cut");
        for (hook, side) in [("egress", "saddr"), ("ingress", "daddr")] {
            let device = &self.there;
            self.nft(&format!(
                "add chain netdev cut {hook} {{ type filter hook {hook} device {device} priority 0 ; }}"
            ));
            self.nft(&format!("add rule netdev cut {hook} ip {side} {} meta l4proto udp drop", self.inside));
        }
    }

    /// Lets UDP packets through only to and from these ports of ours.
    pub fn only_udp(&self, ports: &RangeInclusive<u16>) {
        let ports = format!("{}-{}", ports.start(), ports.end());
        self.nft("add table netdev wall");
        for (hook, side) in [("egress", "dport"), ("ingress", "sport")] {
            let device = &self.there;
            self.nft(&format!(
                "add chain netdev wall {hook} {{ type filter hook {hook} device {device} priority 0 ; }}"
            ));
            self.nft(&format!("add rule netdev wall {hook} udp {side} != {ports} drop"));
        }
    }

    /// Refuses what comes for a UDP port with an ICMP error, as nft names it: `port-unreachable`, `host-unreachable`,
    /// `admin-prohibited`. The first port decides for all.
    pub fn refuse_udp(&self, port: u16, icmp: &str) {
        if !self.refuses.swap(true, Ordering::Relaxed) {
            // Its kernel would send one such error a second: of many callers few would hear it.
            let unlimited = "echo 0 > /proc/sys/net/ipv4/icmp_ratelimit";
            let status = self.command("sh").args(["-c", unlimited]).status();
            assert!(status.is_ok_and(|status| status.success()), "{unlimited} inside {}", self.name);
            self.nft("add table inet refuse");
            self.nft("add set inet refuse ports { type inet_service ; }");
            self.nft("add chain inet refuse input { type filter hook input priority 0 ; }");
            self.nft(&format!("add rule inet refuse input udp dport @ports reject with icmp {icmp}"));
        }
        self.nft(&format!("add element inet refuse ports {{ {port} }}"));
    }

    /// Takes what comes for it again.
    pub fn take_udp(&self, port: u16) {
        self.nft(&format!("delete element inet refuse ports {{ {port} }}"));
    }

    /// How many packets were lost so far.
    pub fn lost(&self) -> u64 {
        let output = self.command("nft").args(["list", "table", "netdev", "loss"]).output().expect("nft");
        let text = String::from_utf8_lossy(&output.stdout);
        let counted = text.split("counter packets ").skip(1);
        counted.filter_map(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).sum()
    }

    /// Lets only so much out of it, or everything again.
    pub fn limit_kbps(&self, kbps: Option<u32>) {
        let there = &self.there;
        match kbps {
            Some(kbps) => run(&format!(
                "tc -n {} qdisc replace dev {there} root tbf rate {kbps}kbit burst 16kb latency 300ms",
                self.name
            )),
            None => run(&format!("tc -n {} qdisc del dev {there} root", self.name)),
        }
    }

    fn nft(&self, rule: &str) {
        run(&format!("ip netns exec {} nft {rule}", self.name));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The devices go with it, ours as the peer of the other.
        for end in [format!("netns del {}", self.name), format!("link del {}", self.device)] {
            let _ = Command::new("ip").args(end.split_whitespace()).stderr(Stdio::null()).status();
        }
    }
}

#[track_caller]
fn run(line: &str) {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().expect("a program")).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("{line}: {error}; Debian's packages iproute2 and nftables"));
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn one_that_is_there_already_is_left_alone() {
    let Some(first) = Namespace::make() else { return };
    let stands = || first.command("true").status().is_ok_and(|status| status.success());
    assert!(Namespace::numbered(first.number).is_none());
    assert!(stands(), "it went with the second one");
    drop(Namespace::make());
    assert!(stands(), "it went with the next one");
}
