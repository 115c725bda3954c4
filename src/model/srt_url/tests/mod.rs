//! Tables and properties of the endpoint URL.

mod refused;
mod secrets;

use std::net::{Ipv4Addr, Ipv6Addr};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::value::Kind;
use super::*;

fn parse(text: &str) -> SrtUrl {
    SrtUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn the_acceptance_url_means_port_4200() {
    let url = parse("srt://127.0.0.1?streamid=LiveApp/srt-test");
    assert_eq!(url.host, Some(SrtHost::Ip(Ipv4Addr::LOCALHOST.into())));
    assert_eq!(url.port, 4200);
    assert_eq!(url.mode, SrtMode::Caller);
    assert_eq!(url.streamid.as_deref(), Some("LiveApp/srt-test"));
    assert!(!url.needs_private_port());
}

#[test]
fn hosts_and_ports_are_read() {
    let name = |text: &str| Some(SrtHost::Name(text.to_owned()));
    let v6 = |text: &str| Some(SrtHost::Ip(text.parse::<Ipv6Addr>().unwrap().into()));
    for (text, host, port) in [
        ("srt://example.org", name("example.org"), 4200),
        ("SRT://Example.ORG:9000/", name("example.org"), 9000),
        ("srt://example.org.:1", name("example.org."), 1),
        ("srt://my_host-1/?", name("my_host-1"), 4200),
        ("srt://xn--mnchen-3ya.de:65535", name("xn--mnchen-3ya.de"), 65535),
        ("srt://1.example", name("1.example"), 4200),
        ("srt://[::1]", v6("::1"), 4200),
        ("srt://[2001:DB8::1]:9000/?latency=200", v6("2001:db8::1"), 9000),
        ("srt://:9000?mode=listener", None, 9000),
        ("srt://?mode=listener", None, 4200),
        ("srt://[::]:9000?mode=listener", v6("::"), 9000),
    ] {
        let url = parse(text);
        assert_eq!((&url.host, url.port), (&host, port), "{text}");
        assert_eq!(url.as_given(), text);
    }
    assert_eq!(parse("srt://[2001:DB8::1]:9").host.unwrap().to_string(), "[2001:db8::1]");
}

#[test]
fn stream_ids_arrive_whole() {
    let wanted = "#!::r=app/stream,m=publish,u=a:b";
    for query in [
        "streamid=#!::r=app/stream,m=publish,u=a:b",
        "streamid=%23!::r=app/stream,m=publish,u=a:b",
        "streamid=%23%21%3A%3Ar%3Dapp%2Fstream%2Cm%3Dpublish%2Cu%3Da%3Ab",
        "latency=200&streamid=#!::r=app/stream,m=publish,u=a:b&pkt_size=1316",
        "srt_streamid=#!::r=app/stream,m=publish,u=a:b",
        "stream%69d=#!::r=app/stream,m=publish,u=a:b",
    ] {
        assert_eq!(parse(&format!("srt://h:9000?{query}")).streamid.as_deref(), Some(wanted));
    }
    for (given, wanted) in
        [("a+b", "a+b"), ("a%20b", "a b"), ("a%26b%25", "a&b%"), ("a?b#c=d", "a?b#c=d"), ("%C3%A4ä", "ää")]
    {
        let url = parse(&format!("srt://h?streamid={given}"));
        assert_eq!(url.streamid.as_deref(), Some(wanted));
    }
    let longest = "x".repeat(STREAMID_LEN_MAX);
    assert_eq!(parse(&format!("srt://h?streamid={longest}")).streamid, Some(longest));
}

#[test]
fn every_option_is_taken_and_normalised() {
    let url = parse(
        "srt://192.0.2.1:9000?mode=rendezvous&passphrase=0123456789&pbkeylen=32&latency=200&rcvlatency=0\
         &peerlatency=60000&localaddr=192.0.2.9&local_port=5000&conntimeo=3000&payload_size=188&maxbw=-1\
         &tlpktdrop=YES&nakreport=off&ffs=32&tsbpd=true&minversion=1.3.0&packetfilter=fec%2Ccols:10,rows:-5\
         &enforced_encryption=0&mss=1500&iptos=184&bindtodevice=eth0.1&kmrefreshrate=1001&kmpreannounce=500\
         &transtype=live&smoother=live&messageapi=true&linger=0",
    );
    assert_eq!(url.mode, SrtMode::Rendezvous);
    assert_eq!(url.passphrase.as_ref().map(Secret::expose), Some("0123456789"));
    assert_eq!((url.pbkeylen, url.payload_size), (Some(32), Some(188)));
    assert_eq!((url.latency_ms, url.rcvlatency_ms, url.peerlatency_ms), (Some(200), Some(0), Some(60_000)));
    assert_eq!((url.localaddress, url.localport), ("192.0.2.9".parse().ok(), Some(5000)));
    assert_eq!(url.connect_timeout_ms, Some(3000));
    let options: Vec<(&str, &str)> = url.socket_options.iter().map(|(k, v)| (*k, v.as_str())).collect();
    assert_eq!(
        options,
        [
            ("maxbw", "-1"),
            ("tlpktdrop", "1"),
            ("nakreport", "0"),
            ("fc", "32"),
            ("tsbpdmode", "1"),
            ("minversion", "66304"),
            ("packetfilter", "fec,cols:10,rows:-5"),
            ("enforcedencryption", "0"),
            ("mss", "1500"),
            ("iptos", "184"),
            ("bindtodevice", "eth0.1"),
            ("kmrefreshrate", "1001"),
            ("kmpreannounce", "500"),
        ]
    );
    assert_eq!(url.socket_option("iptos"), Some("184"));
    assert_eq!(parse("srt://h?pbkeylen=0").pbkeylen, None);
}

#[test]
fn empty_pieces_don_t_matter() {
    let url = parse("srt://h/?&latency=200&&");
    assert_eq!(url.latency_ms, Some(200));
}

#[test]
fn redacted_keeps_all_else() {
    let url = parse("SRT://h:9000/?streamid=#!::r=a/b,token=x&pass%70hrase=0123456789&latency=200&");
    assert_eq!(url.redacted(), "SRT://h:9000/?streamid=#!::r=a/b,token=x&pass%70hrase=***&latency=200&");
    assert_eq!(parse("srt://h:9000").redacted(), "srt://h:9000");
}

#[test]
fn what_changes_the_udp_socket_takes_a_private_port() {
    for (query, private) in [
        ("srt://192.0.2.1", false),
        ("srt://example.org?latency=1&sndbuf=65536&rcvbuf=65536&fc=32&maxbw=0", false),
        ("srt://h?passphrase=0123456789&packetfilter=fec&payload_size=188", false),
        ("srt://[::1]", true),
        ("srt://h?mode=rendezvous", true),
        ("srt://:9?mode=listener", true),
        ("srt://h?localport=1", true),
        ("srt://h?localaddress=192.0.2.9", true),
        ("srt://h?mss=1500", true),
        ("srt://h?ipttl=64", true),
        ("srt://h?iptos=0", true),
        ("srt://h?ipv6only=0", true),
        ("srt://h?bindtodevice=lo", true),
    ] {
        assert_eq!(parse(query).needs_private_port(), private, "{query}");
    }
}

/// A value at each end of what a kind allows.
fn ends(kind: Kind) -> Vec<String> {
    match kind {
        Kind::Int { min, max } => vec![min.to_string(), max.to_string()],
        Kind::OneOf(numbers) => numbers.iter().map(i64::to_string).collect(),
        Kind::Only(number) => vec![number.to_string()],
        Kind::Bool => vec!["1".into(), "0".into()],
        Kind::Word(word) => vec![word.into()],
        Kind::Mode => vec!["caller".into(), "rendezvous".into()],
        Kind::Address => vec!["192.0.2.1".into(), "::1".into()],
        Kind::Text { min, max } | Kind::Secret { min, max } => {
            vec!["x".repeat(min), "x".repeat(max)]
        }
        Kind::TsPackets => vec!["188".into(), "1316".into()],
        Kind::Version => vec!["0".into(), "255.255.255".into()],
        Kind::PacketFilter => vec!["fec".into(), "fec,cols:256,rows:-256".into()],
        Kind::Device => vec!["x".into(), "x".repeat(15)],
    }
}

#[test]
fn every_slot_holds_both_ends_of_its_range() {
    for spec in OPTIONS {
        for key in std::iter::once(&spec.name).chain(spec.aliases) {
            for value in ends(spec.kind) {
                let company = match spec.name {
                    "pbkeylen" => "&passphrase=0123456789",
                    "mss" => "&pkt_size=188",
                    "kmpreannounce" => "&kmrefreshrate=2147483647",
                    "maxcallers" => "&mode=listener",
                    _ => "",
                };
                let host = if spec.slot == Slot::CallersMax { "" } else { "h" };
                let url = parse(&format!("srt://{host}?{key}={value}{company}"));
                let kept = match spec.slot {
                    Slot::Mode => url.mode.to_string(),
                    Slot::Streamid => url.streamid.clone().unwrap(),
                    Slot::Passphrase => url.passphrase.as_ref().unwrap().expose().to_owned(),
                    Slot::Pbkeylen => url.pbkeylen.unwrap_or(0).to_string(),
                    Slot::Latency => url.latency_ms.unwrap().to_string(),
                    Slot::RcvLatency => url.rcvlatency_ms.unwrap().to_string(),
                    Slot::PeerLatency => url.peerlatency_ms.unwrap().to_string(),
                    Slot::LocalAddress => url.localaddress.unwrap().to_string(),
                    Slot::LocalPort => url.localport.unwrap().to_string(),
                    Slot::ConnectTimeout => url.connect_timeout_ms.unwrap().to_string(),
                    Slot::PayloadSize => url.payload_size.unwrap().to_string(),
                    Slot::CallersMax => url.callers_max.unwrap().to_string(),
                    Slot::Socket | Slot::UdpSocket => url.socket_option(spec.name).unwrap().to_owned(),
                    Slot::Fixed => value.clone(),
                };
                let wanted = if value == "255.255.255" { "16777215".to_owned() } else { value };
                assert_eq!(kept, wanted, "{key}");
            }
        }
    }
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

proptest! {
    #[test]
    fn parts_survive_the_text(
        host in "[a-z][a-z0-9]{0,20}(\\.[a-z]{2,5})?",
        port in proptest::option::of(1u16..),
        streamid in proptest::option::of("[^\\p{Cc}]{1,80}"),
        passphrase in proptest::option::of("[ -~]{10,79}"),
        latency in proptest::option::of(0..=LATENCY_MS_MAX),
        maxbw in proptest::option::of(-1i64..),
        drop in proptest::option::of(any::<bool>()),
        order in any::<proptest::sample::Index>(),
    ) {
        let mut pairs: Vec<String> = Vec::new();
        pairs.extend(streamid.as_ref().map(|s| format!("streamid={}", escape(s))));
        pairs.extend(passphrase.as_ref().map(|s| format!("passphrase={}", escape(s))));
        pairs.extend(latency.map(|n| format!("latency={n}")));
        pairs.extend(maxbw.map(|n| format!("maxbw={n}")));
        pairs.extend(drop.map(|yes| format!("tlpktdrop={yes}")));
        if !pairs.is_empty() {
            let middle = order.index(pairs.len());
            pairs.rotate_left(middle);
        }
        let port_text = port.map(|p| format!(":{p}")).unwrap_or_default();
        let text = format!("srt://{host}{port_text}?{}", pairs.join("&"));
        let url = SrtUrl::parse(&text).unwrap();
        prop_assert_eq!(&url.host, &Some(SrtHost::Name(host)));
        prop_assert_eq!(url.port, port.unwrap_or(DEFAULT_PORT));
        prop_assert_eq!(&url.streamid, &streamid);
        prop_assert_eq!(url.passphrase.as_ref().map(Secret::expose), passphrase.as_deref());
        prop_assert_eq!(url.latency_ms, latency);
        let maxbw = maxbw.map(|n| n.to_string());
        prop_assert_eq!(url.socket_option("maxbw"), maxbw.as_deref());
        prop_assert_eq!(url.socket_option("tlpktdrop"), drop.map(|yes| if yes { "1" } else { "0" }));
        prop_assert_eq!(url.as_given(), &text);
        // What is printed is the same URL but for the passphrase.
        if passphrase.is_none() {
            prop_assert_eq!(SrtUrl::parse(&url.redacted()), Ok(url));
        } else {
            let shown = url.redacted();
            prop_assert!(shown.contains("passphrase=***"));
        }
    }

    #[test]
    fn an_unescaped_stream_id_arrives_whole(streamid in "[!-$'-~]{1,100}") {
        // Everything printable but `&` and `%`.
        let url = SrtUrl::parse(&format!("srt://h?streamid={streamid}&latency=1")).unwrap();
        prop_assert_eq!(url.streamid, Some(streamid));
    }

    #[test]
    fn no_text_panics(text in ".{0,200}", tail in "[a-z%0-9&=#?/:@\\[\\]]{0,60}") {
        for text in [text.clone(), format!("srt://{text}"), format!("srt://h?{text}"), format!("srt://{tail}")] {
            if let Ok(url) = SrtUrl::parse(&text) {
                prop_assert_eq!(url.as_given(), &text);
            }
        }
    }
}
