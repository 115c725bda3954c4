//! One short call as a caller, only to learn how the peer answers it: why it refuses, or what was agreed on.
//!
//! `srtsink` tells a refusal in libsrt's words, which are the same for every code from 1000 on. This call reads
//! `srt_getrejectreason`. It is a real call: a peer that takes it sees a connection that is closed at once, so it is
//! for peers that have just refused, or for somebody who asks for it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{SrtError, SrtSocket, sys};
use crate::model::srt_reject::RejectCode;
use crate::model::srt_url::SrtUrl;

/// What is called, and how.
#[derive(Debug, Clone)]
pub struct Call {
    /// The peer's URL: every option of it is set, as for the endpoint itself.
    pub url: SrtUrl,
    /// What its host was resolved to.
    pub address: SocketAddr,
    /// The local address to call from; `None`: any.
    pub local: Option<SocketAddr>,
    /// `SRTO_LATENCY` where the URL has none, ms.
    pub default_latency_ms: u32,
    /// `SRTO_CONNTIMEO`: how long the peer may take.
    pub timeout: Duration,
}

/// How the peer answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It took the call, which has been closed again.
    Accepted {
        /// From the first packet to the connection: two round trips and the peer's own time.
        took: Duration,
        /// The latency that was agreed on for what is sent, ms (`SRTO_PEERLATENCY`).
        latency_ms: Option<u32>,
        /// What is sent would be encrypted (`SRTO_SNDKMSTATE`).
        encrypted: bool,
    },
    /// It refused, with this code (`srt_getrejectreason`).
    Rejected(i32),
    /// It did not answer in time.
    Silent,
    /// The call could not be made.
    Failed(SrtError),
}

impl Call {
    /// Calls. Blocks for [`Call::timeout`] at most.
    pub fn place(&self) -> Answer {
        match self.connect() {
            Ok(answer) => answer,
            Err(error) => match error.reject_reason {
                Some(code) if code == RejectCode::Timeout.code() => Answer::Silent,
                Some(code) if code > RejectCode::Unknown.code() => Answer::Rejected(code),
                _ => Answer::Failed(error),
            },
        }
    }

    fn connect(&self) -> Result<Answer, SrtError> {
        let socket = SrtSocket::new()?;
        socket.configure(&self.url, self.default_latency_ms)?;
        socket.set_connect_timeout_ms(u32::try_from(self.timeout.as_millis()).unwrap_or(u32::MAX))?;
        if let Some(local) = self.local {
            socket.bind(local)?;
        }
        let begin = Instant::now();
        socket.connect(self.address)?;
        let took = begin.elapsed();
        let latency_ms = socket.get_i32(sys::SRTO_PEERLATENCY).and_then(|ms| u32::try_from(ms).ok());
        let encrypted = socket.get_i32(sys::SRTO_SNDKMSTATE) == Some(sys::SRT_KM_S_SECURED);
        Ok(Answer::Accepted { took, latency_ms, encrypted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srt::Listener;

    fn call(address: SocketAddr, query: &str) -> Answer {
        let url = format!("srt://{address}?{query}").parse().expect("URL");
        let timeout = Duration::from_millis(500);
        Call { url, address, local: None, default_latency_ms: 200, timeout }.place()
    }

    #[test]
    fn the_exact_code_of_a_refusal_is_read_and_what_was_agreed_on() {
        let listener = Listener::bind("127.0.0.1:0".parse().expect("address"), 400, |handshake| {
            if handshake.stream_id == "live/test" { Ok(()) } else { Err(RejectCode::Locked.code()) }
        })
        .expect("a free port");
        let address = listener.local_address().expect("bound");
        let refused = call(address, "streamid=other");
        assert!(matches!(refused, Answer::Rejected(1423)), "{refused:?}");
        let secret = call(address, "streamid=live/test&passphrase=open-sesame&pbkeylen=32");
        assert!(matches!(secret, Answer::Rejected(11)), "{secret:?}");
        let Answer::Accepted { latency_ms, encrypted, .. } = call(address, "streamid=live/test") else {
            panic!("it was refused")
        };
        assert_eq!((latency_ms, encrypted), (Some(400), false));
    }

    #[test]
    fn a_peer_that_is_silent_is_given_the_time_that_was_given() {
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let begin = Instant::now();
        let answer = call(silent.local_addr().expect("bound"), "streamid=x");
        assert!(matches!(answer, Answer::Silent), "{answer:?}");
        assert!(begin.elapsed() < Duration::from_secs(3));
    }
}
