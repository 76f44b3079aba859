//! Processes of a benchmark, and what the system says about them.

use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A process that ends with this. Its standard input is a pipe that closes if this process dies.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts a process.
    ///
    /// # Errors
    /// When the system cannot start it.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().map(Self)
    }

    /// Starts a process and waits for the first line that it prints.
    ///
    /// # Errors
    /// When the system cannot start it, or it prints nothing.
    pub fn start_and_read(command: &mut Command) -> io::Result<(Self, String)> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().map(BufReader::new);
        // From here on it is ended whatever happens.
        let process = Self(child);
        let line = output.and_then(|output| output.lines().next());
        Ok((process, line.unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))?))
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The executable of this name beside the one that runs: cargo builds both into one directory.
///
/// # Errors
/// When it is not there.
pub fn beside(name: &str) -> io::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.exists() {
        return Ok(path);
    }
    let problem = format!("{} is missing: build it first", path.display());
    Err(io::Error::new(io::ErrorKind::NotFound, problem))
}

/// Bytes of memory that a process occupies now, shared pages included (`VmRSS`).
///
/// # Errors
/// When there is no such process, or the system does not say (only Linux does).
pub fn memory(process: u32) -> io::Result<u64> {
    status(process, "VmRSS:")
}

/// The most bytes of memory that a process ever occupied (`VmHWM`).
///
/// # Errors
/// As [`memory`].
pub fn peak_memory(process: u32) -> io::Result<u64> {
    status(process, "VmHWM:")
}

/// Has [`peak_memory`] tell the most from now on.
///
/// # Errors
/// As [`memory`].
pub fn reset_peak_memory(process: u32) -> io::Result<()> {
    std::fs::write(format!("/proc/{process}/clear_refs"), "5")
}

fn status(process: u32, field: &str) -> io::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let mut values = text.lines().filter_map(|line| line.strip_prefix(field));
    let kib = values.next().and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib << 10).ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// The processor time that all threads of a process have used, in user and kernel mode.
///
/// # Errors
/// When there is no such process, and where the system does not tell it of another process.
#[cfg(not(target_os = "linux"))]
pub fn processor_time(_process: u32) -> io::Result<Duration> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The processor time that all threads of a process have used, in user and kernel mode.
///
/// # Errors
/// When there is no such process, and where the system does not tell it of another process.
#[cfg(target_os = "linux")]
pub fn processor_time(process: u32) -> io::Result<Duration> {
    let id = libc::pid_t::try_from(process).map_err(io::Error::other)?;
    let mut clock = 0;
    // SAFETY: both calls write to a local of the type that they expect, and to nothing else.
    let time = unsafe {
        let mut time = std::mem::zeroed::<libc::timespec>();
        let found = libc::clock_getcpuclockid(id, &raw mut clock);
        if found != 0 {
            return Err(io::Error::from_raw_os_error(found));
        }
        if libc::clock_gettime(clock, &raw mut time) != 0 {
            return Err(io::Error::last_os_error());
        }
        time
    };
    let (seconds, nanos) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    Ok(Duration::from_secs(seconds) + Duration::from_nanos(nanos))
}
