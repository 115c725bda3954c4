//! What the operating system is asked for directly, where no library asks for it. Must not know what for.

use std::io;

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

#[cfg(test)]
mod tests {
    #[test]
    fn a_thread_that_is_started_later_inherits_it() {
        let policy = std::thread::spawn(|| {
            super::schedule_as_batch().expect("any user may");
            std::thread::spawn(|| std::fs::read_to_string("/proc/thread-self/stat").expect("proc(5)")).join()
        });
        let stat = policy.join().expect("no panic").expect("no panic");
        // proc(5): field 41 is the policy; the name in field 2 may hold spaces, and ends with a bracket.
        let after_name = stat.rsplit(')').next().expect("a bracket");
        assert_eq!(after_name.split_whitespace().nth(38), Some("3"), "{stat}");
    }
}
