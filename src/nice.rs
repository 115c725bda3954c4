//! What of libnice webrtcbin does not pass on (GStreamer 1.22): an ICE restart, and the agent's sockets.
//!
//! Owns a few calls of the shared library that GStreamer's `nice` plugin uses, on the agent that webrtcbin has
//! made. Must not know sessions or SDP. The hard thing is that the agent belongs to webrtcbin: it is found by
//! its type, kept alive by a reference, and everything called here takes the agent's own lock and may be called
//! beside its thread.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::RawFd;

use gstreamer::glib;
use gstreamer::glib::prelude::*;
use gstreamer::glib::translate::{ToGlibPtr as _, from_glib, from_glib_full, from_glib_none};

/// The stream of a peer connection: libnice counts from 1, and a connection that bundles has one.
const STREAM: u32 = 1;
/// RTP, and RTCP with it.
const COMPONENT: u32 = 1;

/// The C declarations used of `nice/agent.h` (libnice 0.1.21), and nothing else.
mod sys {
    use std::ffi::{c_char, c_uint, c_void};

    use gstreamer::glib::ffi::{GPtrArray, GType, gboolean};

    unsafe extern "C" {
        pub(super) fn nice_agent_get_type() -> GType;
        pub(super) fn nice_agent_restart_stream(agent: *mut c_void, stream: c_uint) -> gboolean;
        pub(super) fn nice_agent_get_local_credentials(
            agent: *mut c_void,
            stream: c_uint,
            ufrag: *mut *mut c_char,
            pwd: *mut *mut c_char,
        ) -> gboolean;
        pub(super) fn nice_agent_set_local_credentials(
            agent: *mut c_void,
            stream: c_uint,
            ufrag: *const c_char,
            pwd: *const c_char,
        ) -> gboolean;
        pub(super) fn nice_agent_set_remote_credentials(
            agent: *mut c_void,
            stream: c_uint,
            ufrag: *const c_char,
            pwd: *const c_char,
        ) -> gboolean;
        pub(super) fn nice_agent_get_sockets(agent: *mut c_void, stream: c_uint, component: c_uint) -> *mut GPtrArray;
    }
}

/// User fragment and password of one side (RFC 8839, 5.4).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `ice-ufrag`
    pub ufrag: String,
    /// `ice-pwd`
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

/// A `NiceAgent`; clones are the same one.
#[derive(Debug, Clone)]
pub struct Agent(glib::Object);

// SAFETY: a GObject's references are counted atomically, and NiceAgent may be used from any thread (its functions
// take the lock of the agent; agent/agent.c, agent_lock).
unsafe impl Send for Agent {}
// SAFETY: as above.
unsafe impl Sync for Agent {}

impl Agent {
    /// The agent, if it is one, and of the library that this program is linked with.
    pub fn of(object: glib::Object) -> Option<Self> {
        // SAFETY: registers the type once, and reads it from then on.
        let wanted: glib::Type = unsafe { from_glib(sys::nice_agent_get_type()) };
        object.type_().is_a(wanted).then_some(Self(object))
    }

    fn pointer(&self) -> *mut std::ffi::c_void {
        let object: *mut glib::gobject_ffi::GObject = self.0.to_glib_none().0;
        object.cast()
    }

    /// Restarts ICE (RFC 8445, 9) with the peer's new credentials; this side's are given back, and are those it had.
    /// What was selected carries media on until something else is; the peer's candidates are to be given anew. The
    /// own candidates stay, for the sockets do. `None`: there is no stream to be restarted.
    ///
    /// New ones would be RFC 8445's rule. But a browser checks from its new sockets at once, with the credentials it
    /// knows of this side. Where that check is answered before the restart is here (a round trip is enough),
    /// Chromium stays with these credentials for that pair of addresses, also when it has read the answer with
    /// others; libnice would refuse them (401) for ever, and the restart would fail.
    pub fn restart(&self, remote: &Credentials) -> Option<Credentials> {
        let agent = self.pointer();
        let (mut ufrag, mut password) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: `agent` is a NiceAgent (see `of`) and lives as long as `self`; strings that are written are the
        // caller's. The answer says nothing: it is TRUE where there is no such stream, too.
        unsafe { sys::nice_agent_get_local_credentials(agent, STREAM, &raw mut ufrag, &raw mut password) };
        // SAFETY: NULL, or NUL-terminated strings of GLib's allocator, given away above; each is freed once.
        let told: (Option<String>, Option<String>) = unsafe { (from_glib_full(ufrag), from_glib_full(password)) };
        let (Some(ufrag), Some(password)) = told else { return None };
        // SAFETY: as above.
        if unsafe { sys::nice_agent_restart_stream(agent, STREAM) } == glib::ffi::GFALSE {
            return None;
        }
        let (local_ufrag, local_password) = (ufrag.to_glib_none(), password.to_glib_none());
        // SAFETY: as above; the agent copies both strings, at most 256 bytes of each.
        let kept = unsafe { sys::nice_agent_set_local_credentials(agent, STREAM, local_ufrag.0, local_password.0) };
        if kept == glib::ffi::GFALSE {
            return None;
        }
        let (remote_ufrag, remote_password) = (remote.ufrag.to_glib_none(), remote.password.to_glib_none());
        // SAFETY: as above; the agent copies both strings, at most 256 bytes of each.
        let taken = unsafe { sys::nice_agent_set_remote_credentials(agent, STREAM, remote_ufrag.0, remote_password.0) };
        (taken != glib::ffi::GFALSE).then_some(Credentials { ufrag, password })
    }

    /// Asks for receive buffers of so many bytes for the UDP sockets gathered so far. Says what the kernel gave the
    /// smallest, by the same measure; `None`: there is no such socket.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn widen_receive_buffers(&self, bytes: i32) -> io::Result<Option<i32>> {
        let mut smallest = None;
        for socket in self.sockets() {
            if let Some(fd) = udp(&socket) {
                let given = widen(fd, bytes)?;
                smallest = Some(smallest.map_or(given, |smallest: i32| smallest.min(given)));
            }
        }
        Ok(smallest)
    }

    /// The `GSocket`s, each held by a reference of its own.
    fn sockets(&self) -> Vec<glib::Object> {
        // SAFETY: `agent` is a NiceAgent and lives as long as `self`; the array is the caller's, or NULL.
        let array = unsafe { sys::nice_agent_get_sockets(self.pointer(), STREAM, COMPONENT) };
        if array.is_null() {
            return Vec::new();
        }
        // SAFETY: the array is ours alone; its `len` elements are GObjects, of which each gets a reference before
        // the array gives its own up.
        unsafe {
            let found = (0..(*array).len as usize).map(|at| {
                let object: *mut glib::gobject_ffi::GObject = (*(*array).pdata.add(at)).cast();
                from_glib_none(object)
            });
            let found = found.collect();
            glib::ffi::g_ptr_array_unref(array);
            found
        }
    }
}

/// The descriptor of a `GSocket` that is open and takes datagrams.
fn udp(socket: &glib::Object) -> Option<RawFd> {
    socket.find_property("fd")?;
    let fd: RawFd = socket.property("fd");
    let mut kind: libc::c_int = 0;
    (fd >= 0 && option(fd, libc::SO_TYPE, &mut kind).is_ok() && kind == libc::SOCK_DGRAM).then_some(fd)
}

/// Sets the size beyond the limit of the system where the process may, up to it elsewhere.
fn widen(fd: RawFd, bytes: i32) -> io::Result<i32> {
    let set = |name| {
        // SAFETY: the kernel reads an int during the call.
        unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, name, (&raw const bytes).cast(), INT_LEN) == 0 }
    };
    if !set(libc::SO_RCVBUFFORCE) && !set(libc::SO_RCVBUF) {
        return Err(io::Error::last_os_error());
    }
    let mut given = 0;
    option(fd, libc::SO_RCVBUF, &mut given)?;
    // The kernel doubles what it is asked for, for its own book-keeping, and tells the double (socket(7)).
    Ok(given / 2)
}

const INT_LEN: libc::socklen_t = size_of::<libc::c_int>() as libc::socklen_t;

fn option(fd: RawFd, name: libc::c_int, value: &mut libc::c_int) -> io::Result<()> {
    let mut len = INT_LEN;
    // SAFETY: the kernel writes at most `len` bytes, an int, during the call.
    match unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, name, std::ptr::from_mut(value).cast(), &raw mut len) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn only_an_agent_is_taken_for_one() {
        gstreamer::init().expect("GStreamer");
        assert!(Agent::of(gstreamer::Bin::new().upcast()).is_none());
    }

    #[test]
    fn webrtcbins_agent_is_one_and_has_nothing_before_a_negotiation() {
        gstreamer::init().expect("GStreamer");
        let webrtc = gstreamer::ElementFactory::make("webrtcbin").build().expect("GStreamer's bad plugins");
        let inner: glib::Object = webrtc.property::<glib::Object>("ice-agent").property("agent");
        let agent = Agent::of(inner).expect("the library that the plugin uses is the one that is linked");
        let remote = Credentials { ufrag: "abcd".into(), password: "abcdefghijklmnopqrstuv".into() };
        assert_eq!(agent.restart(&remote), None);
        assert_eq!(agent.widen_receive_buffers(1 << 20).expect("nothing is refused"), None);
    }

    #[test]
    fn passwords_are_not_shown() {
        let shown = format!("{:?}", Credentials { ufrag: "abcd".into(), password: "secret".into() });
        assert!(shown.contains("abcd") && !shown.contains("secret"), "{shown}");
    }

    #[test]
    fn a_receive_buffer_grows() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let mut before = 0;
        option(socket.as_raw_fd(), libc::SO_RCVBUF, &mut before).expect("a size");
        let limit = std::fs::read_to_string("/proc/sys/net/core/rmem_max").expect("a limit");
        let wanted = limit.trim().parse::<i32>().expect("a number").min(1 << 20);
        let given = widen(socket.as_raw_fd(), wanted).expect("any user may");
        assert_eq!(given, wanted, "{before} before");
    }
}
