//! What the operating system is asked for directly, where no library asks for it. Must not know what for.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

/// Runs this thread, and every thread it starts from now on, under `SCHED_BATCH` (sched(7)): one that wakes up does
/// not interrupt the one that runs. The nice value stays. Any user may do so.
///
/// # Errors
/// The kernel's refusal (a sandbox that forbids the call).
#[allow(unsafe_code)]
pub fn schedule_as_batch() -> io::Result<()> {
    let priority = libc::sched_param { sched_priority: 0 };
    // SAFETY: 0 is the calling thread; the kernel reads the structure during the call and keeps nothing of it.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const priority) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives this thread, and every thread it starts from now on, less of a core that others want too: the nice value 10
/// (nice(7)), a tenth of what they get. Not less: what waits for a lock that this thread holds waits for its turn too. Any
/// user may do so, and only a privileged one can take it back; so never in a thread of a pool.
///
/// # Errors
/// The kernel's refusal (a sandbox that forbids the call).
#[allow(unsafe_code)]
pub fn yield_to_others() -> io::Result<()> {
    // SAFETY: plain numbers; on Linux 0 is the calling thread.
    match unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 10) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What this machine calls itself, with or without a domain, as the kernel has it (hostname(7)).
pub fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Bytes that have come by a TCP connection since its begin (tcp(7), `TCP_INFO`).
///
/// # Errors
/// The kernel's refusal; a kernel before Linux 4.1, which does not count them.
#[allow(unsafe_code)]
pub fn tcp_received_bytes(socket: &impl AsFd) -> io::Result<u64> {
    /// Where `tcpi_bytes_received` lies in `struct tcp_info` (linux/tcp.h), in words of 64 bits: byte 128.
    const RECEIVED_AT: usize = 16;
    let mut info = [0u64; 64];
    let mut len = libc::socklen_t::try_from(size_of_val(&info)).unwrap_or_default();
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel writes at most `len` bytes into `info`, which is so long, and any bits are numbers.
    let answer =
        unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut len) };
    match answer {
        0 if len as usize >= (RECEIVED_AT + 1) * size_of::<u64>() => Ok(info[RECEIVED_AT]),
        0 => Err(io::ErrorKind::Unsupported.into()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Bounds what the kernel keeps of what is sent and not yet acknowledged (socket(7), `SO_SNDBUF`); it takes twice as
/// much, for its own needs.
///
/// # Errors
/// The kernel's refusal.
#[allow(unsafe_code)]
pub fn limit_send_buffer(socket: &impl AsFd, bytes: u32) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    let len = libc::socklen_t::try_from(size_of_val(&bytes)).unwrap_or_default();
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel reads `len` bytes of `bytes`, which is so long, during the call.
    match unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, (&raw const bytes).cast(), len) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_bytes_of_a_connection_are_counted() {
        use std::io::{Read as _, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut near = std::net::TcpStream::connect(listener.local_addr().expect("address")).expect("connected");
        let (mut far, _) = listener.accept().expect("accepted");
        assert_eq!(super::tcp_received_bytes(&far).expect("counted"), 0);
        near.write_all(&[0; 70_000]).expect("sent");
        far.read_exact(&mut [0; 70_000]).expect("received");
        assert_eq!(super::tcp_received_bytes(&far).expect("counted"), 70_000);
    }

    /// A field of proc(5)'s `stat`, counted from 1, of a thread that is started by one which has called this.
    fn inherited(call: fn() -> std::io::Result<()>, field: usize) -> String {
        let look = || std::fs::read_to_string("/proc/thread-self/stat").expect("proc(5)");
        let stat = std::thread::spawn(move || {
            call().expect("any user may");
            std::thread::spawn(look).join()
        });
        let stat = stat.join().expect("no panic").expect("no panic");
        // The name in field 2 may hold spaces, and ends with a bracket.
        let after_name = stat.rsplit(')').next().expect("a bracket");
        after_name.split_whitespace().nth(field - 3).expect("so many fields").to_owned()
    }

    #[test]
    fn a_thread_that_is_started_later_inherits_it() {
        assert_eq!(inherited(super::schedule_as_batch, 41), "3", "SCHED_BATCH");
        assert_eq!(inherited(super::yield_to_others, 19), "10", "nice");
    }
}
