//! What is refused, and in which words.

use super::*;

fn refused(text: &str) -> String {
    match SrtUrl::parse(text) {
        Ok(_) => panic!("{text:?} was taken"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn refusals_name_the_part_and_what_is_wanted() {
    let long = format!("srt://h?streamid={}", "x".repeat(URL_LEN_MAX));
    let stream_id = format!("srt://h?streamid={}", "x".repeat(STREAMID_LEN_MAX + 1));
    let label = format!("srt://{}.org", "x".repeat(64));
    for (text, wanted) in [
        ("", "is empty"),
        (long.as_str(), "at most 4096"),
        ("rtmp://h/app", "begins with \"rtmp://\"; wanted: srt://"),
        ("http://h", "\"http://\""),
        ("srts://h", "\"srts://\""),
        ("srt:h", "without a scheme"),
        ("h:9000", "without a scheme"),
        (" srt://h", "a space at byte 0"),
        ("srt://h?streamid=a b", "a space at byte 18"),
        ("srt://h\n", "U+000A"),
        ("srt://h?streamid=a\0", "U+0000"),
        ("srt://h?streamid=a\u{2003}b", "U+2003"),
        ("srt://user:word@h", "user part"),
        ("srt://user:wo/rd@h", "user part"),
        ("srt://h/live", "path \"/live\""),
        ("srt://h//", "path \"//\""),
        ("srt://h#!::r=a/b", "`#` before any `?`"),
        ("srt://", "has no host"),
        ("srt://:9000", "only mode=listener"),
        ("srt://:9000?mode=rendezvous", "has no host"),
        (
            "srt://h:0",
            "port is \"0\"; wanted: a whole number from 1 to 65535",
        ),
        ("srt://h:65536", "port is \"65536\""),
        ("srt://h:", "port is no number"),
        ("srt://h:+1", "port is no number"),
        ("srt://::1:9000", "IPv6 address in brackets"),
        ("srt://[::1", "closing bracket"),
        ("srt://[fe80::1%25eth0]", "zone"),
        ("srt://[::1]9000", "after the bracket"),
        ("srt://[1.2.3.4]", "no IPv6 address"),
        ("srt://300.1.1.1", "no IPv4 address"),
        ("srt://10.1.1", "no IPv4 address"),
        ("srt://0x7f.0x1", "no IPv4 address"),
        ("srt://2130706433", "no IPv4 address"),
        ("srt://-a.org", "no DNS name"),
        ("srt://a..org", "no DNS name"),
        (label.as_str(), "no DNS name"),
        ("srt://müllerhost", "outside ASCII"),
        ("srt://a%41", "characters that no host has"),
        ("srt://0.0.0.0", "can't be called"),
        ("srt://[::]", "can't be called"),
        ("srt://[::ffff:0.0.0.0]", "can't be called"),
        ("srt://239.1.2.3", "multicast"),
        ("srt://[ff02::1]", "multicast"),
        ("srt://255.255.255.255", "broadcast"),
        (
            "srt://localhost:9000?mode=listener",
            "an address of this server",
        ),
        (
            "srt://h?latenzy=1",
            "`latenzy` is not a key of an endpoint URL; did you mean `latency`",
        ),
        ("srt://h?Latency=1", "lower case: `latency`"),
        ("srt://h?STREAMID=1", "lower case: `streamid`"),
        ("srt://h?Passphrase=0123456789", "lower case: `passphrase`"),
        ("srt://h?payloadsiz=1", "`payloadsize`"),
        (
            "srt://h?foobar=1",
            "`foobar` is not a key of an endpoint URL; the keys are mode, streamid,",
        ),
        (
            "srt://h?timeout=1000000",
            "`timeout` can't be set on an endpoint: it is ffmpeg's, in microseconds",
        ),
        ("srt://h?auto-reconnect=1", "connects again by itself"),
        ("srt://h?latency=1&latency=1", "`latency` is given twice"),
        (
            "srt://h?pkt_size=188&payloadsize=188",
            "`pkt_size` is given twice",
        ),
        (
            "srt://h?latency",
            "`latency` has no value; wanted: a whole number from 0 to 60000 (milliseconds)",
        ),
        ("srt://h?streamid=", "`streamid` has no value"),
        (
            "srt://h?latency=1&abc",
            "piece 2 of the query is not key=value",
        ),
        ("srt://h?=1", "piece 1 of the query"),
        (
            "srt://h?streamid=%2",
            "`streamid` holds a `%` without two hex digits",
        ),
        ("srt://h?streamid=100%", "written %25"),
        ("srt://h?streamid=%zz", "two hex digits"),
        ("srt://h?streamid=%ff", "no UTF-8"),
        ("srt://h?%ff=1", "the key of piece 1"),
        (
            "srt://h?streamid=a%00b",
            "`streamid` holds a control character",
        ),
        ("srt://h?streamid=a%0Ab", "control character"),
        (
            stream_id.as_str(),
            "`streamid` is 513 bytes long; wanted: text of 1 to 512",
        ),
        (
            "srt://h?passphrase=123456789",
            "`passphrase` is 9 bytes long; wanted: text of 10 to 79",
        ),
        (
            "srt://h?latency=-1",
            "`latency` is \"-1\"; wanted: a whole number from 0",
        ),
        ("srt://h?latency=1.5", "is \"1.5\""),
        ("srt://h?latency=+5", "is \"+5\""),
        (
            "srt://h?latency=99999999999999999999",
            "wanted: a whole number",
        ),
        (
            "srt://h?latency=200000",
            "if that is in microseconds, as many of ffmpeg's options are, write latency=200",
        ),
        (
            "srt://h?rcvlatency=99999999999",
            "milliseconds, not in microseconds",
        ),
        (
            "srt://h?pbkeylen=17&passphrase=0123456789",
            "`pbkeylen` is \"17\"; wanted: 0, 16, 24 or 32",
        ),
        ("srt://h?pbkeylen=16", "nothing would be encrypted"),
        (
            "srt://h?mode=server",
            "wanted: caller, listener or rendezvous",
        ),
        ("srt://h?mode=Listener", "is \"Listener\""),
        ("srt://h?localport=0", "`localport`"),
        ("srt://h?localaddress=eth0", "wanted: an IP address"),
        ("srt://192.0.2.1?localaddress=::1", "both IPv4 or both IPv6"),
        (
            "srt://0.0.0.0?mode=listener&localport=1",
            "in the place of the host",
        ),
        (
            "srt://h?oheadbw=4",
            "from 5 to 100 (% of the stream's rate)",
        ),
        ("srt://h?oheadbw=101", "from 5 to 100"),
        ("srt://h?maxbw=-2", "a whole number from -1"),
        ("srt://h?tlpktdrop=2", "1 or 0"),
        ("srt://h?tlpktdrop=auto", "1 or 0"),
        ("srt://h?pkt_size=1400", "a multiple of 188 up to 1316"),
        ("srt://h?pkt_size=0", "a multiple of 188"),
        ("srt://h?pkt_size=1504", "a multiple of 188"),
        ("srt://h?transtype=file", "wanted: live"),
        ("srt://h?congestion=file", "wanted: live"),
        ("srt://h?messageapi=0", "wanted: 1"),
        ("srt://h?linger=5", "wanted: 0"),
        ("srt://h?ipttl=0", "from 1 to 255"),
        ("srt://h?iptos=256", "from 0 to 255"),
        ("srt://h?minversion=1.3", "an SRT version"),
        ("srt://h?minversion=1.3.0.0", "an SRT version"),
        ("srt://h?minversion=1.256.0", "an SRT version"),
        ("srt://h?minversion=0x1000000", "an SRT version"),
        ("srt://h?packetfilter=fec,cols:1", "`packetfilter`"),
        ("srt://h?packetfilter=fec,cols:9,cols:9", "`packetfilter`"),
        ("srt://h?packetfilter=xor", "wanted: fec"),
        ("srt://h?bindtodevice=../etc", "`bindtodevice`"),
        ("srt://h?bindtodevice=abcdefghijklmnop", "`bindtodevice`"),
        ("srt://h?mss=1359", "wanted: at least 1360"),
        (
            "srt://h?kmpreannounce=500&kmrefreshrate=1000",
            "at most 499",
        ),
        ("srt://h?kmpreannounce=8388608", "at most 8388607"),
    ] {
        let message = refused(text);
        assert!(
            message.contains(wanted),
            "{text:.80?} gave {message:?}, without {wanted:?}"
        );
        assert!(!message.contains('\n') && message.len() < 900, "{message}");
    }
}
