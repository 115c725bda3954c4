//! Socket options by the names of an endpoint's URL.
//!
//! Owns which option of libsrt a name stands for, and its type; ranges are the URL's (`model::srt_url`), checked before.
//! They are set before a socket binds or connects; what a listening socket has, its accepted sockets inherit.

use std::ffi::c_int;

use super::socket::{SrtError, SrtSocket};
use super::sys;
use crate::model::srt_url::{SrtMode, SrtUrl};

/// How libsrt takes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `int32_t`, and booleans, which libsrt takes as an int too.
    Int,
    /// `int64_t`.
    Long,
    /// Characters without a terminator.
    Text,
}

/// Every name that an endpoint's URL may have as a socket option, with libsrt's number and form of it.
const OPTIONS: [(&str, c_int, Form); 23] = [
    ("maxbw", sys::SRTO_MAXBW, Form::Long),
    ("inputbw", sys::SRTO_INPUTBW, Form::Long),
    ("oheadbw", sys::SRTO_OHEADBW, Form::Int),
    ("tlpktdrop", sys::SRTO_TLPKTDROP, Form::Int),
    ("snddropdelay", sys::SRTO_SNDDROPDELAY, Form::Int),
    // The buffers are reckoned in packets of `mss`, and the receive buffer is cut to `fc`: see `ORDER`.
    ("sndbuf", sys::SRTO_SNDBUF, Form::Int),
    ("rcvbuf", sys::SRTO_RCVBUF, Form::Int),
    ("fc", sys::SRTO_FC, Form::Int),
    ("nakreport", sys::SRTO_NAKREPORT, Form::Int),
    ("lossmaxttl", sys::SRTO_LOSSMAXTTL, Form::Int),
    ("drifttracer", sys::SRTO_DRIFTTRACER, Form::Int),
    ("tsbpdmode", sys::SRTO_TSBPDMODE, Form::Int),
    ("retransmitalgo", sys::SRTO_RETRANSMITALGO, Form::Int),
    ("peeridletimeo", sys::SRTO_PEERIDLETIMEO, Form::Int),
    ("minversion", sys::SRTO_MINVERSION, Form::Int),
    ("packetfilter", sys::SRTO_PACKETFILTER, Form::Text),
    ("enforcedencryption", sys::SRTO_ENFORCEDENCRYPTION, Form::Int),
    ("kmrefreshrate", sys::SRTO_KMREFRESHRATE, Form::Int),
    ("kmpreannounce", sys::SRTO_KMPREANNOUNCE, Form::Int),
    ("mss", sys::SRTO_MSS, Form::Int),
    ("ipttl", sys::SRTO_IPTTL, Form::Int),
    ("iptos", sys::SRTO_IPTOS, Form::Int),
    ("bindtodevice", sys::SRTO_BINDTODEVICE, Form::Text),
];

/// `ipv6only` is an int of three values; it is in no table because `bind` reads it back.
const IPV6ONLY: &str = "ipv6only";

/// What must be set before the others, for libsrt reckons them with it.
const ORDER: [&str; 3] = ["mss", "fc", "kmrefreshrate"];

impl SrtSocket {
    /// Sets a socket option by its name in an endpoint's URL (`model::srt_url::OPTIONS`) and its value there.
    ///
    /// # Errors
    /// An unknown name, a value that is no number where one is wanted, or what libsrt says.
    pub fn set_option(&self, name: &'static str, value: &str) -> Result<(), SrtError> {
        if name == IPV6ONLY {
            return self.set_i32(sys::SRTO_IPV6ONLY, number(name, value)?, name);
        }
        let unknown = || SrtError::ours(name, "no socket option of that name");
        let (_, option, form) = OPTIONS.iter().find(|(known, ..)| *known == name).ok_or_else(unknown)?;
        match form {
            Form::Int => self.set_i32(*option, number(name, value)?, name),
            Form::Long => self.set_bytes(*option, &number::<i64>(name, value)?.to_ne_bytes(), name),
            Form::Text => self.set_bytes(*option, value.as_bytes(), name),
        }
    }

    /// `SRTO_PASSPHRASE`: encrypts. 10 to 79 bytes.
    ///
    /// # Errors
    /// Too short or too long, or connected already.
    pub fn set_passphrase(&self, passphrase: &str) -> Result<(), SrtError> {
        self.set_bytes(sys::SRTO_PASSPHRASE, passphrase.as_bytes(), "SRTO_PASSPHRASE")
    }

    /// `SRTO_PBKEYLEN`: 16, 24 or 32 bytes of AES key; without it 16, or what the peer says.
    ///
    /// # Errors
    /// Another length, or connected already.
    pub fn set_key_len(&self, len: u8) -> Result<(), SrtError> {
        self.set_i32(sys::SRTO_PBKEYLEN, len.into(), "SRTO_PBKEYLEN")
    }

    /// `SRTO_CONNTIMEO`: how long `connect` may take; ten times that in a rendezvous.
    ///
    /// # Errors
    /// Connected already.
    pub fn set_connect_timeout_ms(&self, timeout_ms: u32) -> Result<(), SrtError> {
        self.set_i32(sys::SRTO_CONNTIMEO, i32::try_from(timeout_ms).unwrap_or(i32::MAX), "SRTO_CONNTIMEO")
    }

    /// Whether `send` waits for room in the send buffer (`SRTO_SNDSYN`).
    ///
    /// # Errors
    /// The socket is gone.
    pub fn set_send_blocking(&self, blocks: bool) -> Result<(), SrtError> {
        self.set_bool(sys::SRTO_SNDSYN, blocks, "SRTO_SNDSYN")
    }

    /// Sets everything of an endpoint's URL that is an option of a socket: latencies, passphrase, key length, payload
    /// size, connection time-out, the stream id (a listener presents none), and all of `socket_options`. Addresses and
    /// the mode itself are the caller's to deal with.
    ///
    /// # Errors
    /// What libsrt says of the first that it refuses.
    pub fn configure(&self, url: &SrtUrl, default_latency_ms: u32) -> Result<(), SrtError> {
        let ms = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        let one_sided_ms = url.rcvlatency_ms.max(url.peerlatency_ms);
        self.set_latency(ms(url.latency_ms.or(one_sided_ms).unwrap_or(default_latency_ms)))?;
        if let Some(latency_ms) = url.rcvlatency_ms {
            self.set_i32(sys::SRTO_RCVLATENCY, ms(latency_ms), "SRTO_RCVLATENCY")?;
        }
        if let Some(latency_ms) = url.peerlatency_ms {
            self.set_i32(sys::SRTO_PEERLATENCY, ms(latency_ms), "SRTO_PEERLATENCY")?;
        }
        if let Some(passphrase) = &url.passphrase {
            self.set_passphrase(passphrase.expose())?;
        }
        if let Some(len) = url.pbkeylen {
            self.set_key_len(len)?;
        }
        if let Some(bytes) = url.payload_size {
            self.set_i32(sys::SRTO_PAYLOADSIZE, ms(bytes), "SRTO_PAYLOADSIZE")?;
        }
        if let Some(timeout_ms) = url.connect_timeout_ms {
            self.set_connect_timeout_ms(timeout_ms)?;
        }
        if let Some(stream_id) = url.streamid.as_deref().filter(|_| url.mode != SrtMode::Listener) {
            self.set_stream_id(stream_id)?;
        }
        let ordered = |name: &str| ORDER.iter().position(|first| *first == name).unwrap_or(ORDER.len());
        let mut options: Vec<_> = url.socket_options.iter().collect();
        options.sort_by_key(|(name, _)| ordered(name));
        options.into_iter().try_for_each(|(name, value)| self.set_option(name, value))
    }
}

fn number<T: std::str::FromStr>(name: &'static str, value: &str) -> Result<T, SrtError> {
    value.parse().map_err(|_| SrtError::ours(name, "its value is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_socket_option_of_a_url_is_taken() {
        let url: SrtUrl =
            "srt://192.0.2.1:9000?maxbw=1000000&inputbw=1&oheadbw=50&tlpktdrop=1&snddropdelay=-1&rcvbuf=200000\
             &sndbuf=200000&fc=30000&nakreport=0&lossmaxttl=5&drifttracer=0&tsbpdmode=1&retransmitalgo=0\
             &peeridletimeo=4000&minversion=1.3.0&packetfilter=fec,cols:10,rows:5&enforcedencryption=0\
             &kmrefreshrate=5000&kmpreannounce=1000&mss=1400&ipttl=64&iptos=184&ipv6only=0&bindtodevice=lo\
             &latency=10&rcvlatency=20&peerlatency=30&passphrase=0123456789&pbkeylen=24&streamid=x&conntimeo=500\
             &pkt_size=1128"
                .parse()
                .expect("URL");
        assert_eq!(url.socket_options.len(), OPTIONS.len() + 1, "{:?}", url.socket_options);
        let socket = SrtSocket::new().expect("socket");
        socket.configure(&url, 150).expect("all of it");
        for (option, value) in [
            (sys::SRTO_RCVLATENCY, 20),
            (sys::SRTO_PEERLATENCY, 30),
            (sys::SRTO_OHEADBW, 50),
            (sys::SRTO_FC, 30_000),
            (sys::SRTO_MINVERSION, 0x01_03_00),
            (sys::SRTO_PBKEYLEN, 24),
            (sys::SRTO_CONNTIMEO, 500),
            (sys::SRTO_PAYLOADSIZE, 1128),
            (sys::SRTO_IPTOS, 184),
        ] {
            assert_eq!(socket.get_i32(option), Some(value), "option {option}");
        }
        assert_eq!(socket.stream_id(), "x");
    }

    #[test]
    fn what_is_unknown_or_no_number_is_an_error() {
        let socket = SrtSocket::new().expect("socket");
        assert!(socket.set_option("nonsense", "1").is_err());
        assert!(socket.set_option("fc", "many").is_err());
    }
}
