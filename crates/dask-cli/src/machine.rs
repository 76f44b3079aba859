//! What this machine has: cores and memory, as far as this process may use them.

use std::num::NonZero;

use dask_proto::ByteSize;

/// A text says no limit of memory.
#[derive(Debug, thiserror::Error)]
#[error(
    "expected `auto`, `0` for no limit, a share of the memory such as 0.5, or bytes as in 8GiB"
)]
pub(crate) struct NoLimit;

/// A text says no number of workers.
#[derive(Debug, thiserror::Error)]
#[error("expected `auto`, or a number but 0: -1 means one for each core, -2 one less, and so on")]
pub(crate) struct NoWorkers;

/// How much memory each worker may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum MemoryLimit {
    /// What is there, shared by the cores.
    Auto,
    /// No limit.
    None,
    /// A share of what is there.
    Share(f64),
    Bytes(u64),
}

/// How many workers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workers {
    /// A few, with a few threads each.
    Auto,
    /// So many; counted down from the number of cores if negative.
    Number(i64),
}

pub(crate) fn memory_limit(text: &str) -> Result<MemoryLimit, NoLimit> {
    match text {
        "auto" => return Ok(MemoryLimit::Auto),
        "0" | "none" | "None" => return Ok(MemoryLimit::None),
        _ => {}
    }
    if let Ok(share) = text.parse::<f64>()
        && share > 0.0
        && share <= 1.0
    {
        return Ok(MemoryLimit::Share(share));
    }
    text.parse().map(|ByteSize(bytes)| MemoryLimit::Bytes(bytes)).map_err(|_| NoLimit)
}

pub(crate) fn workers(text: &str) -> Result<Workers, NoWorkers> {
    match text {
        "auto" => Ok(Workers::Auto),
        text => match text.parse() {
            Ok(0) | Err(_) => Err(NoWorkers),
            Ok(number) => Ok(Workers::Number(number)),
        },
    }
}

/// The cores that this process may use.
pub(crate) fn cores() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    u32::try_from(cores).unwrap_or(u32::MAX)
}

/// How many workers, with how many threads each (Dask's `nprocesses_nthreads`).
pub(crate) fn split(workers: Workers, nthreads: Option<u32>, cores: u32) -> (u32, u32) {
    let nworkers = match workers {
        Workers::Number(n) if n > 0 => u32::try_from(n).unwrap_or(u32::MAX),
        Workers::Number(n) => {
            let left = i64::from(cores) + 1 + n;
            u32::try_from(left.max(1)).unwrap_or(1)
        }
        Workers::Auto if cores <= 4 => cores,
        // Of about as many processes as each has threads.
        Workers::Auto => (1..=cores)
            .find(|n| cores.is_multiple_of(*n) && u64::from(*n).pow(2) >= u64::from(cores))
            .unwrap_or(1),
    };
    let nworkers = nworkers.max(1);
    (nworkers, nthreads.filter(|n| *n > 0).unwrap_or_else(|| (cores / nworkers).max(1)))
}

/// The bytes that each worker with so many threads may use.
pub(crate) fn bytes(limit: MemoryLimit, nthreads: u32) -> Option<u64> {
    let total = total_memory();
    let share = |share: f64| total.map(|total| (total as f64 * share) as u64);
    match limit {
        MemoryLimit::None => None,
        MemoryLimit::Auto => share((f64::from(nthreads) / f64::from(cores())).min(1.0)),
        MemoryLimit::Share(of_all) => share(of_all),
        MemoryLimit::Bytes(bytes) => Some(bytes.min(total.unwrap_or(u64::MAX))),
    }
}

/// The memory of this machine, or less if this process is confined to less; `None` if the system
/// does not say.
fn total_memory() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let confined = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let confined = confined.into_iter().filter_map(read).find_map(|text| text.trim().parse().ok());
    let all = read("/proc/meminfo").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib << 10)
    });
    [all, confined].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        assert_eq!(memory_limit("auto").unwrap(), MemoryLimit::Auto);
        assert_eq!(memory_limit("0").unwrap(), MemoryLimit::None);
        assert_eq!(memory_limit("0.5").unwrap(), MemoryLimit::Share(0.5));
        assert_eq!(memory_limit("512MiB").unwrap(), MemoryLimit::Bytes(512 << 20));
        assert!(memory_limit("much").is_err());
        assert!(memory_limit("-1").is_err());
    }

    #[test]
    fn cores_are_shared_as_dask_does() {
        let split = |workers, nthreads, cores| split(workers, nthreads, cores);
        assert_eq!(split(Workers::Number(1), None, 8), (1, 8));
        assert_eq!(split(Workers::Number(3), None, 8), (3, 2));
        assert_eq!(split(Workers::Number(-1), None, 8), (8, 1));
        assert_eq!(split(Workers::Number(-3), Some(2), 8), (6, 2));
        assert_eq!(split(Workers::Number(-100), None, 8), (1, 8));
        assert!(workers("0").is_err() && workers("-2").is_ok() && workers("many").is_err());
        for (cores, expected) in [(1, (1, 1)), (4, (4, 1)), (8, (4, 2)), (16, (4, 4)), (64, (8, 8))]
        {
            assert_eq!(split(Workers::Auto, None, cores), expected);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_is_shared_by_threads() {
        let all = bytes(MemoryLimit::Auto, cores()).unwrap();
        assert!(all > 1 << 20);
        assert_eq!(bytes(MemoryLimit::Auto, cores() * 2), Some(all));
        assert_eq!(bytes(MemoryLimit::Bytes(1000), 1), Some(1000));
        assert_eq!(bytes(MemoryLimit::Bytes(u64::MAX), 1), Some(all));
        assert_eq!(bytes(MemoryLimit::None, 1), None);
    }
}
