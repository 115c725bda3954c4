//! What libsrt counts and measures of a connection (`srt_bistats`), with units in the names.
//!
//! The hard thing is what libsrt 1.5.1 means by its words. Its byte counters hold 44 bytes of headers for each packet,
//! which are taken off here: bytes are payload. Its dropped packets of the sender are occasions, each of any number of
//! packets (`CUDT::sndDropTooLate` counts bytes, and one), so that their number is reckoned from the bytes.

use std::ffi::c_int;

use super::socket::{SrtError, SrtSocket};
use super::sys;
use crate::model::endpoint::{Encryption, LinkCounters};

/// IP, UDP and SRT headers that libsrt adds to its byte counters, per packet (`CPacket::SRT_DATA_HDR_SIZE`).
const HEADERS_LEN: u64 = 44;

/// A connection at one moment. Counters are of the connection's life.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SrtStatistics {
    /// Since the socket was made, ms (`msTimeStamp`).
    pub age_ms: u64,
    /// Payload sent for the first time (`byteSentUniqueTotal` without headers).
    pub sent_bytes: u64,
    /// Packets sent for the first time (`pktSentUniqueTotal`).
    pub sent_packets: u64,
    /// Payload sent again (`byteRetransTotal` without headers).
    pub retransmitted_bytes: u64,
    /// Packets sent again (`pktRetransTotal`).
    pub retransmitted_packets: u64,
    /// Packets that the peer reported lost, each report counted (`pktSndLossTotal`).
    pub send_lost_packets: u64,
    /// Payload that the sender dropped because it was too late (`byteSndDropTotal` without headers).
    pub send_dropped_bytes: u64,
    /// How many packets that was: reckoned from the bytes, at the mean payload of what was sent.
    pub send_dropped_packets: u64,
    /// On how many occasions (`pktSndDropTotal`).
    pub send_drops: u64,
    /// Full acknowledgements that covered data which none before had covered (`pktRecvACKTotal`): repeated ones and
    /// short ones are not counted (`CUDT::processCtrlAck`).
    pub received_acks: u64,
    /// Reports of loss that came (`pktRecvNAKTotal`).
    pub received_naks: u64,
    /// Payload received, duplicates and unneeded packets not counted (`byteRecvUniqueTotal` without headers).
    pub received_bytes: u64,
    /// The same in packets (`pktRecvUniqueTotal`).
    pub received_packets: u64,
    /// Packets found missing on arrival, whether they came later or not (`pktRcvLossTotal`).
    pub receive_lost_packets: u64,
    /// Packets that came too late to be played, or never, or could not be decrypted (`pktRcvDropTotal`).
    pub receive_dropped_packets: u64,
    /// Packets that came and could not be decrypted (`pktRcvUndecryptTotal`).
    pub undecrypted_packets: u64,
    /// Retransmitted packets that came since the socket was made (`pktRcvRetrans`, whose interval is never reset here).
    pub receive_retransmitted_packets: u64,
    /// Round-trip time, smoothed, ms (`msRTT`).
    pub rtt_ms: f64,
    /// Estimate of what the way can carry, bit/s (`mbpsBandwidth`). Of little worth for a sender with less than some
    /// 16 packets in a row: it comes from probing pairs of packets.
    pub bandwidth_bps: u64,
    /// Packets sent and not acknowledged (`pktFlightSize`).
    pub flight_packets: u64,
    /// Packets in the send buffer: those in flight and those not sent yet (`pktSndBuf`).
    pub send_buffer_packets: u64,
    /// The same in bytes of payload (`byteSndBuf` without headers).
    pub send_buffer_bytes: u64,
    /// The time between the oldest and the newest of them, ms (`msSndBuf`).
    pub send_buffer_ms: u32,
    /// Packets that came and were not read (`pktRcvBuf`).
    pub receive_buffer_packets: u64,
    /// The time they span, ms (`msRcvBuf`).
    pub receive_buffer_ms: u32,
    /// Latency agreed on for what is sent, ms (`msSndTsbPdDelay`, `SRTO_PEERLATENCY`).
    pub send_latency_ms: u32,
    /// Latency agreed on for what is received, ms (`msRcvTsbPdDelay`, `SRTO_RCVLATENCY`).
    pub receive_latency_ms: u32,
}

impl SrtStatistics {
    /// Packets that the peer has acknowledged: what was sent and is no longer in flight. It grows by what the sender
    /// drops, too: see [`Self::send_drops`].
    pub fn acknowledged_packets(&self) -> u64 {
        self.sent_packets.saturating_sub(self.flight_packets)
    }

    /// The part that an endpoint counts.
    pub fn sender_counters(&self) -> LinkCounters {
        LinkCounters {
            sent_bytes: self.sent_bytes,
            sent_packets: self.sent_packets,
            retransmitted_bytes: self.retransmitted_bytes,
            retransmitted_packets: self.retransmitted_packets,
            lost_packets: self.send_lost_packets,
            dropped_bytes: self.send_dropped_bytes,
            dropped_packets: self.send_dropped_packets,
        }
    }

    fn from_c(raw: &sys::TraceBStats) -> Self {
        let (sent_packets, sent_bytes) = (count64(raw.pkt_sent_unique_total), raw.byte_sent_unique_total);
        let sent_bytes = payload(sent_bytes, sent_packets);
        let (retransmitted_packets, send_drops) = (count(raw.pkt_retrans_total), count(raw.pkt_snd_drop_total));
        let received_packets = count64(raw.pkt_recv_unique_total);
        let send_dropped_bytes = payload(raw.byte_snd_drop_total, send_drops);
        let send_buffer_packets = count(raw.pkt_snd_buf);
        Self {
            age_ms: count64(raw.ms_time_stamp),
            sent_bytes,
            sent_packets,
            retransmitted_bytes: payload(raw.byte_retrans_total, retransmitted_packets),
            retransmitted_packets,
            send_lost_packets: count(raw.pkt_snd_loss_total),
            send_dropped_bytes,
            send_dropped_packets: packets_of(send_dropped_bytes, sent_bytes, sent_packets).max(send_drops),
            send_drops,
            received_acks: count(raw.pkt_recv_ack_total),
            received_naks: count(raw.pkt_recv_nak_total),
            received_bytes: payload(raw.byte_recv_unique_total, received_packets),
            received_packets,
            receive_lost_packets: count(raw.pkt_rcv_loss_total),
            receive_dropped_packets: count(raw.pkt_rcv_drop_total),
            undecrypted_packets: count(raw.pkt_rcv_undecrypt_total),
            receive_retransmitted_packets: count(raw.pkt_rcv_retrans),
            rtt_ms: raw.ms_rtt,
            bandwidth_bps: bits_per_second(raw.mbps_bandwidth),
            flight_packets: count(raw.pkt_flight_size),
            send_buffer_packets,
            send_buffer_bytes: payload(count(raw.byte_snd_buf), send_buffer_packets),
            send_buffer_ms: milliseconds(raw.ms_snd_buf),
            receive_buffer_packets: count(raw.pkt_rcv_buf),
            receive_buffer_ms: milliseconds(raw.ms_rcv_buf),
            send_latency_ms: milliseconds(raw.ms_snd_tsb_pd_delay),
            receive_latency_ms: milliseconds(raw.ms_rcv_tsb_pd_delay),
        }
    }
}

/// What of libsrt's bytes is payload.
pub fn payload(bytes: u64, packets: u64) -> u64 {
    bytes.saturating_sub(packets.saturating_mul(HEADERS_LEN))
}

/// How many packets so many bytes are, at the mean payload of what was sent.
pub fn packets_of(bytes: u64, sent_bytes: u64, sent_packets: u64) -> u64 {
    bytes.div_ceil(sent_bytes.checked_div(sent_packets).unwrap_or(0).max(1))
}

fn count(value: c_int) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn count64(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn milliseconds(value: c_int) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

fn bits_per_second(mbps: f64) -> u64 {
    // A cast from float saturates; NaN becomes 0.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "see above")]
    let bits = (mbps * 1e6) as u64;
    bits
}

impl SrtSocket {
    /// What libsrt has counted of this connection, and how it is now. Takes some short locks inside libsrt.
    ///
    /// # Errors
    /// It is not connected.
    pub fn statistics(&self) -> Result<SrtStatistics, SrtError> {
        let mut raw = sys::TraceBStats::default();
        // SAFETY: `raw` has the layout of SRT_TRACEBSTATS (its size is checked in a test) and lives for the call. Not
        // cleared: others may look at the same socket. Instantaneous: no moving average.
        let result = unsafe { sys::srt_bistats(self.0, &raw mut raw, 0, 1) };
        if result == sys::ERROR { Err(SrtError::last("srt_bistats")) } else { Ok(SrtStatistics::from_c(&raw)) }
    }

    /// Encryption of what is sent (`SRTO_SNDKMSTATE`, `SRTO_PBKEYLEN`).
    pub fn send_encryption(&self) -> Encryption {
        self.encryption(sys::SRTO_SNDKMSTATE)
    }

    /// Encryption of what is received (`SRTO_RCVKMSTATE`, `SRTO_PBKEYLEN`).
    pub fn receive_encryption(&self) -> Encryption {
        self.encryption(sys::SRTO_RCVKMSTATE)
    }

    fn encryption(&self, option: c_int) -> Encryption {
        match self.get_i32(option) {
            Some(sys::SRT_KM_S_UNSECURED) | None => Encryption::None,
            Some(sys::SRT_KM_S_SECURING | sys::SRT_KM_S_SECURED) => {
                let len = self.get_i32(sys::SRTO_PBKEYLEN).and_then(|len| u8::try_from(len).ok());
                Encryption::Aes(len.filter(|len| *len > 0).unwrap_or(16))
            }
            Some(_) => Encryption::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::srt::{Listener, Recv};

    const WAIT: Duration = Duration::from_secs(5);
    const MESSAGES: u64 = 50;

    #[test]
    fn the_structure_is_as_large_as_libsrts() {
        // sizeof and offsetof of libsrt 1.5.1's srt.h on 64 bits.
        assert_eq!(size_of::<sys::TraceBStats>(), 496 + sys::SPARE_LEN);
        assert_eq!(std::mem::offset_of!(sys::TraceBStats, byte_sent_total), 80);
        assert_eq!(std::mem::offset_of!(sys::TraceBStats, ms_rtt), 328);
        assert_eq!(std::mem::offset_of!(sys::TraceBStats, ms_snd_buf), 372);
        assert_eq!(std::mem::offset_of!(sys::TraceBStats, byte_sent_unique_total), 448);
    }

    #[test]
    fn both_sides_of_a_connection_count_the_same() {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = Listener::bind(any, 20, |_| Ok(())).expect("a free port");
        let caller = SrtSocket::new().expect("socket");
        assert!(caller.statistics().is_err(), "not connected");
        caller.set_latency(333).expect("not connected");
        caller.connect(listener.local_address().expect("bound")).expect("let in");
        let receiver = listener.accept(WAIT).expect("listening").expect("somebody came").socket;
        receiver.set_receive_timeout(WAIT).expect("open");
        for _ in 0..MESSAGES {
            caller.send(&[0x47; 1316]).expect("sent");
        }
        let mut buffer = [0; 1500];
        for _ in 0..MESSAGES {
            assert!(matches!(receiver.receive(&mut buffer), Recv::Message(1316)));
        }
        let deadline = Instant::now() + WAIT;
        let sent = loop {
            let sent = caller.statistics().expect("connected");
            if sent.acknowledged_packets() == MESSAGES {
                break sent;
            }
            assert!(Instant::now() < deadline, "{sent:?}");
            std::thread::yield_now();
        };
        let received = receiver.statistics().expect("connected");
        assert_eq!((sent.sent_packets, sent.sent_bytes), (MESSAGES, MESSAGES * 1316));
        assert_eq!((received.received_packets, received.received_bytes), (MESSAGES, MESSAGES * 1316));
        assert_eq!((sent.send_latency_ms, received.receive_latency_ms), (333, 333));
        assert_eq!((sent.send_buffer_packets, sent.send_drops, sent.flight_packets), (0, 0, 0));
        assert!(sent.rtt_ms > 0.0 && sent.rtt_ms < 1_000.0, "{sent:?}");
        assert!(sent.received_acks > 0 && sent.age_ms < 60_000, "{sent:?}");
        assert_eq!(sent.sender_counters().sent_bytes, MESSAGES * 1316, "payload, as for every endpoint");
        assert_eq!(caller.send_encryption(), Encryption::None);
    }

    #[test]
    fn an_encrypted_connection_says_so() {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listening = SrtSocket::new().expect("socket");
        listening.set_passphrase("0123456789").expect("long enough");
        let listener = Listener::listen(listening, any, |_| Ok(())).expect("a free port");
        let address = listener.local_address().expect("bound");
        for (passphrase, reason) in [(Some("9876543210"), 10), (None, 11)] {
            let caller = SrtSocket::new().expect("socket");
            if let Some(passphrase) = passphrase {
                caller.set_passphrase(passphrase).expect("long enough");
            }
            let refused = caller.connect(address).expect_err("refused");
            assert_eq!(refused.reject_reason, Some(reason), "{passphrase:?}");
        }
        let caller = SrtSocket::new().expect("socket");
        caller.set_passphrase("0123456789").expect("long enough");
        caller.set_key_len(32).expect("a length of AES");
        caller.connect(address).expect("let in");
        let receiver = listener.accept(WAIT).expect("listening").expect("somebody came").socket;
        assert_eq!(caller.send_encryption(), Encryption::Aes(32));
        assert_eq!(receiver.receive_encryption(), Encryption::Aes(32));
    }
}
