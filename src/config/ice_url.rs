//! Addresses of STUN and TURN servers: `stun:HOST:PORT` as RFC 7064 writes it and `stun://HOST:PORT` as
//! GStreamer does, TURN likewise with user and password in front.
//!
//! Owns their syntax and the form that is kept, GStreamer's. Resolves nothing. The hard thing: a TURN
//! address holds a password, so that neither an error nor a print may show it, not even of a broken one.

use std::net::{IpAddr, Ipv6Addr};

use super::print::REDACTED;

/// Port of STUN and TURN when none is given (RFC 8489, section 14; RFC 8656, section 18).
const PORT: u16 = 3478;
/// The same over TLS.
const PORT_TLS: u16 = 5349;
/// Longest DNS name, in bytes (RFC 1035, section 2.3.4).
const NAME_LEN_MAX: usize = 253;
/// Longest user or password, in bytes (RFC 8489, section 14.3, for the user).
const USER_LEN_MAX: usize = 513;

/// The `stun://HOST:PORT` of a STUN server's address.
pub(super) fn parse_stun(text: &str) -> Result<String, String> {
    let (scheme, rest) = split_scheme(text)?;
    match scheme {
        "stun" => {}
        "turn" | "turns" => return Err("it is a TURN server, which belongs into webrtc.turn_server".to_owned()),
        "stuns" => return Err("STUN over TLS is not spoken here".to_owned()),
        _ => return Err("it does not begin with stun:".to_owned()),
    }
    if rest.contains('@') {
        return Err("a STUN server takes no user".to_owned());
    }
    Ok(format!("stun://{}", parse_host(rest, PORT)?))
}

/// The `turn://USER:PASSWORD@HOST:PORT` of a TURN server's address.
pub(super) fn parse_turn(text: &str) -> Result<String, String> {
    let (scheme, rest) = split_scheme(text)?;
    let port = match scheme {
        "turn" => PORT,
        "turns" => PORT_TLS,
        "stun" => return Err("it is a STUN server, which belongs into webrtc.stun_server".to_owned()),
        _ => return Err("it does not begin with turn: or turns:".to_owned()),
    };
    let (user_info, server) = rest.rsplit_once('@').ok_or("user and password are missing")?;
    let (user, password) = user_info.split_once(':').ok_or("the password is missing")?;
    for (what, text) in [("user", user), ("password", password)] {
        check_user_info(text).map_err(|problem| format!("the {what} {problem}"))?;
    }
    let (host, query) = server.split_once('?').map_or((server, None), |(host, query)| (host, Some(query)));
    let query = match query {
        None => String::new(),
        Some(query @ ("transport=udp" | "transport=tcp")) => format!("?{query}"),
        Some(_) => return Err("after the '?' stands something else than transport=udp or transport=tcp".to_owned()),
    };
    Ok(format!("{scheme}://{user}:{password}@{}{query}", parse_host(host, port)?))
}

/// The address without user and password, for other eyes. In a broken one, anything may be the password.
pub(super) fn redact(text: &str) -> String {
    let quote = if text.starts_with('"') { "\"" } else { "" };
    let bare = text.trim_matches('"');
    if bare.is_empty() {
        return text.to_owned();
    }
    let known = |scheme: &str| ["stun", "turn", "turns"].contains(&scheme);
    let Some((scheme, rest)) = split_scheme(bare).ok().filter(|(scheme, _)| known(scheme)) else {
        return format!("{quote}{REDACTED}{quote}");
    };
    match rest.rsplit_once('@') {
        Some((user_info, host)) => {
            let user = user_info.split_once(':').map_or(REDACTED, |(user, _)| user);
            format!("{quote}{scheme}://{user}:{REDACTED}@{host}{quote}")
        }
        None => format!("{quote}{scheme}://{REDACTED}{quote}"),
    }
}

/// `scheme:rest` or `scheme://rest`.
fn split_scheme(text: &str) -> Result<(&str, &str), String> {
    let (scheme, rest) = text.split_once(':').ok_or("the scheme is missing")?;
    if scheme.is_empty() || !scheme.chars().all(|c| c.is_ascii_lowercase()) {
        return Err("the scheme is missing".to_owned());
    }
    Ok((scheme, rest.strip_prefix("//").unwrap_or(rest)))
}

/// RFC 3986's userinfo, which is what GStreamer's reader of URLs takes apart.
fn check_user_info(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.len() > USER_LEN_MAX {
        return Err(format!("is longer than {USER_LEN_MAX} bytes"));
    }
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let two_digits =
            |rest: &mut std::str::Chars<'_>| (0..2).all(|_| rest.next().is_some_and(|c| c.is_ascii_hexdigit()));
        let plain = c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:".contains(c);
        if !(plain || (c == '%' && two_digits(&mut rest))) {
            return Err("holds a character that has to be written as %XX".to_owned());
        }
    }
    Ok(())
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`, with the port written out.
fn parse_host(text: &str, default_port: u16) -> Result<String, String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (inner, after) = rest.split_once(']').ok_or("the closing bracket is missing")?;
            let ip: Ipv6Addr = inner.parse().map_err(|_| "there is no IPv6 address in the brackets")?;
            let port = match after {
                "" => None,
                _ => Some(after.strip_prefix(':').ok_or("something else than a port follows the bracket")?),
            };
            (format!("[{ip}]"), port)
        }
        None => {
            let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
            check_name(host)?;
            (host.to_ascii_lowercase(), port)
        }
    };
    let port = match port {
        None => default_port,
        Some(port) => port
            .parse::<u16>()
            .ok()
            .filter(|number| *number != 0 && port.chars().all(|c| c.is_ascii_digit()))
            .ok_or("the port is no number from 1 to 65535")?,
    };
    Ok(format!("{host}:{port}"))
}

fn check_name(host: &str) -> Result<(), &'static str> {
    let label = |label: &str| {
        let ends = label.starts_with('-') || label.ends_with('-');
        !label.is_empty()
            && label.len() <= 63
            && !ends
            && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    match host {
        "" => Err("the host is missing"),
        _ if host.len() > NAME_LEN_MAX || !host.split('.').all(label) => Err("the host is no name and no address"),
        // What looks like an IPv4 address has to be one.
        _ if host.split('.').all(|part| part.chars().all(|c| c.is_ascii_digit()))
            && host.parse::<IpAddr>().is_err() =>
        {
            Err("the host is no IPv4 address")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_come_to_one_form() {
        for (given, kept) in [
            ("stun:stun.example.org", "stun://stun.example.org:3478"),
            ("stun://stun.example.org:19302", "stun://stun.example.org:19302"),
            ("stun:STUN.example.org:1", "stun://stun.example.org:1"),
            ("stun://192.0.2.7", "stun://192.0.2.7:3478"),
            ("stun:[2001:db8::1]", "stun://[2001:db8::1]:3478"),
            ("stun://[2001:db8::1]:99", "stun://[2001:db8::1]:99"),
        ] {
            assert_eq!(parse_stun(given).as_deref(), Ok(kept));
            assert_eq!(parse_stun(kept).as_deref(), Ok(kept), "the kept form stands for itself");
        }
        for (given, kept) in [
            ("turn:u:p@t.example.org", "turn://u:p@t.example.org:3478"),
            ("turns://u:p@t.example.org", "turns://u:p@t.example.org:5349"),
            (
                "turn://1700000000:bob:a%40b%3D%3d=@[::1]:5?transport=tcp",
                "turn://1700000000:bob:a%40b%3D%3d=@[::1]:5?transport=tcp",
            ),
            ("turn:u:p@192.0.2.7:5?transport=udp", "turn://u:p@192.0.2.7:5?transport=udp"),
        ] {
            assert_eq!(parse_turn(given).as_deref(), Ok(kept));
            assert_eq!(parse_turn(kept).as_deref(), Ok(kept), "the kept form stands for itself");
        }
    }

    #[test]
    fn bad_addresses_are_refused_with_the_reason() {
        for (given, reason) in [
            ("stun.example.org", "scheme is missing"),
            ("stun.example.org:3478", "scheme is missing"),
            ("http://h", "does not begin with stun:"),
            ("stuns:h", "not spoken"),
            ("turn:u:p@h", "webrtc.turn_server"),
            ("stun:u@h", "takes no user"),
            ("stun:", "host is missing"),
            ("stun://:3478", "host is missing"),
            ("stun:h:", "port"),
            ("stun:h:0", "port"),
            ("stun:h:+5", "port"),
            ("stun:h:65536", "port"),
            ("stun:h:1:2", "port"),
            ("stun:::1", "host is missing"),
            ("stun:a b", "no name"),
            ("stun:h/path", "no name"),
            ("stun:h?transport=udp", "no name"),
            ("stun:-h", "no name"),
            ("stun:a..b", "no name"),
            ("stun:1.2.3", "no IPv4 address"),
            ("stun:[::1", "closing bracket"),
            ("stun:[h]", "no IPv6 address"),
            ("stun:[::1]5", "follows the bracket"),
        ] {
            let error = parse_stun(given).expect_err(given);
            assert!(error.contains(reason), "{given}: {error}");
        }
        for (given, reason) in [
            ("stun:h", "webrtc.stun_server"),
            ("t.example.org", "scheme is missing"),
            ("turn:h", "user and password are missing"),
            ("turn:u@h", "password is missing"),
            ("turn::p@h", "the user is empty"),
            ("turn:u:@h", "the password is empty"),
            ("turn:u:p@x@h", "%XX"),
            ("turn:u:p/x@h", "%XX"),
            ("turn:u:p%4@h", "%XX"),
            ("turn:u:pä@h", "%XX"),
            ("turn:u:p@", "host is missing"),
            ("turn:u:p@h?transport=sctp", "transport=udp"),
            ("turn:u:p@h?", "transport=udp"),
        ] {
            let error = parse_turn(given).expect_err(given);
            assert!(error.contains(reason), "{given}: {error}");
            assert!(!error.contains(given), "{error}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        for (given, shown) in [
            ("turn://me:hunter2@h:1", "turn://me:***@h:1"),
            ("\"turn:me:hunter2@h\"", "\"turn://me:***@h\""),
            ("turn:me:hun@ter2@h", "turn://me:***@h"),
            ("turn:hunter2@h", "turn://***:***@h"),
            ("turn:me:hunter2", "turn://***"),
            ("hunter:me@h", "***"),
            ("hunter2", "***"),
            ("5", "***"),
            ("", ""),
            ("\"\"", "\"\""),
        ] {
            assert_eq!(redact(given), shown);
        }
    }
}
