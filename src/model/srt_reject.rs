//! Why an SRT connection was refused, by number and by name: libsrt's own reasons and those that a server
//! chooses.
//!
//! Links no libsrt; the numbers are part of the handshake and stand in `srt/srt.h` (`SRT_REJECT_REASON`)
//! and `srt/access_control.h` (`SRT_REJX_*`) of libsrt 1.5. The hard thing: a peer may send any number, so
//! naming one never fails.

use std::fmt;

/// First code that a server's own program may choose freely (`SRT_REJC_USERDEFINED`).
pub const USER_DEFINED_MIN: i32 = 2000;

macro_rules! codes {
    ($($code:literal $variant:ident $name:literal $text:literal;)*) => {
        /// A reason for refusing an SRT connection. Below 1000 libsrt itself gives it; from 1000 on the
        /// server's program does, with HTTP's numbers plus 1000 where HTTP has one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i32)]
        pub enum RejectCode {
            $(#[doc = concat!("`", $name, "`: ", $text, ".")] $variant = $code,)*
        }

        impl RejectCode {
            /// All codes, by number.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// libsrt's name: `SRT_REJ_BADSECRET`, `SRT_REJX_CONFLICT`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it means, in words that end a sentence.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

codes! {
    0 Unknown "SRT_REJ_UNKNOWN" "no reason is known";
    1 System "SRT_REJ_SYSTEM" "a system call failed";
    2 Peer "SRT_REJ_PEER" "the peer refused without a reason";
    3 Resource "SRT_REJ_RESOURCE" "resources ran out";
    4 Rogue "SRT_REJ_ROGUE" "the handshake held wrong data";
    5 Backlog "SRT_REJ_BACKLOG" "the listener has too many callers waiting";
    6 InternalError "SRT_REJ_IPE" "libsrt had an internal error";
    7 Close "SRT_REJ_CLOSE" "the socket is being closed";
    8 PeerVersion "SRT_REJ_VERSION" "the peer's SRT version is too old";
    9 RendezvousCookie "SRT_REJ_RDVCOOKIE" "rendezvous cookies collided";
    10 BadSecret "SRT_REJ_BADSECRET" "the passphrase is wrong";
    11 Unsecure "SRT_REJ_UNSECURE" "only one side has a passphrase";
    12 MessageApi "SRT_REJ_MESSAGEAPI" "one side uses the message interface, the other the stream interface";
    13 Congestion "SRT_REJ_CONGESTION" "the congestion controls differ";
    14 Filter "SRT_REJ_FILTER" "the packet filters don't go together";
    15 Group "SRT_REJ_GROUP" "the connection groups don't go together";
    16 Timeout "SRT_REJ_TIMEOUT" "the peer didn't answer in time";
    1000 Fallback "SRT_REJX_FALLBACK" "the server can't say why";
    1001 KeyNotSupported "SRT_REJX_KEY_NOTSUP" "the server doesn't know a key of the stream id";
    1002 FilePath "SRT_REJX_FILEPATH" "the stream id names a file with a bad path";
    1003 HostNotFound "SRT_REJX_HOSTNOTFOUND" "the server doesn't know the host in the stream id";
    1400 BadRequest "SRT_REJX_BAD_REQUEST" "the stream id can't be read";
    1401 Unauthorized "SRT_REJX_UNAUTHORIZED" "authentication failed";
    1402 Overload "SRT_REJX_OVERLOAD" "the server is too busy";
    1403 Forbidden "SRT_REJX_FORBIDDEN" "access is denied";
    1404 NotFound "SRT_REJX_NOTFOUND" "no such application or stream";
    1405 BadMode "SRT_REJX_BAD_MODE" "the mode in the stream id isn't supported";
    1406 Unacceptable "SRT_REJX_UNACCEPTABLE" "what the stream id asks for can't be met";
    1409 Conflict "SRT_REJX_CONFLICT" "the stream is in use by another publisher";
    1415 NotSupportedMedia "SRT_REJX_NOTSUP_MEDIA" "the type of media isn't supported";
    1423 Locked "SRT_REJX_LOCKED" "the stream is locked";
    1424 FailedDependency "SRT_REJX_FAILED_DEPEND" "a session that it depends on is gone";
    1500 ServerError "SRT_REJX_ISE" "the server had an internal error";
    1501 Unimplemented "SRT_REJX_UNIMPLEMENTED" "the server can't do that yet";
    1502 Gateway "SRT_REJX_GW" "a server behind this one refused";
    1503 Down "SRT_REJX_DOWN" "the service is down";
    1505 ServerVersion "SRT_REJX_VERSION" "the server doesn't support the SRT version";
    1507 NoRoom "SRT_REJX_NOROOM" "the server has no room to store the stream";
}

impl RejectCode {
    /// The number in the handshake, for `srt_setrejectreason`. libsrt takes only those from 1000 on there.
    pub fn code(self) -> i32 {
        self as i32
    }

    /// The reason with this number, if it has a name.
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.code() == code)
    }

    /// Whether the server's program chose it, not libsrt: the receiver's own refusal.
    pub fn is_from_application(self) -> bool {
        self.code() >= Self::Fallback.code()
    }
}

impl fmt::Display for RejectCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}: {})", self.meaning(), self.code(), self.name())
    }
}

/// Any number that a peer or libsrt gave, in words: `the passphrase is wrong (10: SRT_REJ_BADSECRET)`,
/// `the peer's program refused (2042)`.
pub fn describe(code: i32) -> String {
    match RejectCode::from_code(code) {
        Some(known) => known.to_string(),
        None if code >= USER_DEFINED_MIN => {
            format!("the peer's program refused for a reason of its own ({code})")
        }
        None => format!("refused for a reason without a name ({code})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_go_up_and_find_themselves() {
        assert!(RejectCode::ALL.windows(2).all(|pair| pair[0].code() < pair[1].code()));
        for &code in RejectCode::ALL {
            assert_eq!(RejectCode::from_code(code.code()), Some(code));
        }
    }

    #[test]
    fn the_numbers_are_libsrts() {
        for (code, number, name) in [
            (RejectCode::Unknown, 0, "SRT_REJ_UNKNOWN"),
            (RejectCode::BadSecret, 10, "SRT_REJ_BADSECRET"),
            (RejectCode::Unsecure, 11, "SRT_REJ_UNSECURE"),
            (RejectCode::Timeout, 16, "SRT_REJ_TIMEOUT"),
            (RejectCode::BadRequest, 1400, "SRT_REJX_BAD_REQUEST"),
            (RejectCode::NotFound, 1404, "SRT_REJX_NOTFOUND"),
            (RejectCode::BadMode, 1405, "SRT_REJX_BAD_MODE"),
            (RejectCode::Conflict, 1409, "SRT_REJX_CONFLICT"),
            (RejectCode::NotSupportedMedia, 1415, "SRT_REJX_NOTSUP_MEDIA"),
            (RejectCode::Down, 1503, "SRT_REJX_DOWN"),
        ] {
            assert_eq!((code.code(), code.name()), (number, name));
        }
    }

    #[test]
    fn every_number_has_words() {
        assert_eq!(describe(10), "the passphrase is wrong (10: SRT_REJ_BADSECRET)");
        assert_eq!(describe(2042), "the peer's program refused for a reason of its own (2042)");
        assert_eq!(describe(17), "refused for a reason without a name (17)");
        assert_eq!(describe(-1), "refused for a reason without a name (-1)");
    }
}
