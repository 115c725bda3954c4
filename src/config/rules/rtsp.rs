//! The keys of `[rtsp]`.

use std::ops::RangeInclusive;

use super::super::Rtsp;
use super::super::reader::Reader;
use super::read_listen;

/// How long a packet may be waited for, milliseconds: less than a network's disorder is none, more is a mistaken unit.
const JITTER_MS: RangeInclusive<i64> = 10..=5_000;

/// Least width of the range of ports: four publishers of two tracks.
const UDP_PORTS_MIN: usize = 16;

pub(super) fn read(reader: &mut Reader, default: Rtsp) -> Rtsp {
    Rtsp {
        listen: read_listen(reader, "rtsp.listen", default.listen),
        tls_listen: reader.take_text(
            "rtsp.tls_listen",
            "an IP address and a port such as \"0.0.0.0:8322\", or \"\" for none",
            default.tls_listen,
            |text| match text.trim() {
                "" => Ok(None),
                text => text.parse().map(Some).map_err(|_| String::new()),
            },
        ),
        udp_ports: read_udp_ports(reader, default.udp_ports),
        jitter_ms: reader.take_number("rtsp.jitter_ms", "milliseconds", JITTER_MS, default.jitter_ms),
    }
}

fn read_udp_ports(reader: &mut Reader, default: Option<RangeInclusive<u16>>) -> Option<RangeInclusive<u16>> {
    let wanted = format!(
        "two port numbers such as \"20000-20999\", at least {UDP_PORTS_MIN} ports wide, or \"\" for any that are free"
    );
    reader.take_text("rtsp.udp_ports", &wanted, default, |text| {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let (first, last) = text.split_once('-').ok_or_else(String::new)?;
        let port = |text: &str| text.trim().parse::<u16>().map_err(|_| format!("{text:?} is no port number"));
        let (first, last) = (port(first)?, port(last)?);
        match (first..=last).len() {
            _ if first < 1_024 => Err("ports below 1024 are not for media".to_owned()),
            width if width < UDP_PORTS_MIN => Err(format!("it is {width} wide")),
            _ => Ok(Some(first..=last)),
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::config::{ConfigError, Settings, parse};

    fn from_file(text: &str) -> Result<Settings, ConfigError> {
        parse(Some(("f", text)), [])
    }

    #[test]
    fn good_values_are_taken_and_read_back() {
        let text =
            "[rtsp]\nlisten = \"127.0.0.1:0\"\ntls_listen = \"\"\nudp_ports = \"20000-20999\"\njitter_ms = 300\n";
        let settings = from_file(text).expect("good");
        assert_eq!(settings.rtsp.tls_listen, None);
        assert_eq!(settings.rtsp.udp_ports, Some(20_000..=20_999));
        assert_eq!(settings.rtsp.jitter_ms, 300);
        assert_eq!(from_file(&settings.to_redacted_toml()).expect("read back"), settings);
    }

    #[test]
    fn bad_values_are_refused_with_what_is_wanted() {
        for (key, value, wanted) in [
            ("listen", "\"8554\"", "an IP address and a port"),
            ("tls_listen", "\"8322\"", "or \"\" for none"),
            ("udp_ports", "\"20000-20008\"", "(it is 9 wide)"),
            ("udp_ports", "\"20999-20000\"", "(it is 0 wide)"),
            ("udp_ports", "\"80-2000\"", "(ports below 1024 are not for media)"),
            ("udp_ports", "\"a-b\"", "(\"a\" is no port number)"),
            ("jitter_ms", "9", "from 10 to 5000"),
            ("tls_listen", "\"0.0.0.0:8554\"", "an address that rtsp.listen (0.0.0.0:8554) does not take"),
        ] {
            let error = from_file(&format!("[rtsp]\n{key} = {value}")).expect_err("bad").to_string();
            assert!(error.contains(&format!("rtsp.{key}: given {value}, wanted ")), "{error}");
            assert!(error.contains(wanted), "{key} = {value}: {error}");
        }
    }
}
