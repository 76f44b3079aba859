use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dask_proto::program::ProgramId;
use sha2::{Digest, Sha256};

/// How much of a file is read at a time.
const BUFFER_BYTES: usize = 256 << 10;

/// The file of this process: on Linux the one that was started, even if another has taken its
/// place since, as after a build.
///
/// # Errors
/// When the system does not tell.
pub fn this_program() -> io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.exists() { Ok(running.to_owned()) } else { std::env::current_exe() }
}

/// Which program a file is, and its size in bytes. Reads all of it.
///
/// # Errors
/// When it cannot be read.
pub fn identify(path: &Path) -> io::Result<(ProgramId, u64)> {
    let file = File::open(path)?;
    if cfg!(debug_assertions)
        && let Some(id) = by_tool(&file)
    {
        return Ok((id, file.metadata()?.len()));
    }
    by_reading(File::open(path)?)
}

/// Has the system's own tool look at a file, where there is one. Executables of debug builds have
/// hundreds of megabytes, and this code is not optimized in them: it takes thirty times as long.
fn by_tool(file: &File) -> Option<ProgramId> {
    let mut tool = Command::new("sha256sum");
    let tool = tool.stdin(file.try_clone().ok()?).stderr(Stdio::null());
    let output = tool.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    // Behind the digits is the name of the file.
    text.split_whitespace().next()?.parse().ok()
}

fn by_reading(mut file: File) -> io::Result<(ProgramId, u64)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((id(hasher), bytes)),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                bytes += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The program whose bytes were hashed.
pub(crate) fn id(hasher: Sha256) -> ProgramId {
    ProgramId(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "what is unexpected fails the test")]

    use super::*;

    #[test]
    fn a_program_is_known_by_the_sha256_of_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program");
        std::fs::write(&path, b"abc").unwrap();
        let digits = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for (id, bytes) in
            [identify(&path), by_reading(File::open(&path).unwrap())].map(Result::unwrap)
        {
            assert_eq!((id.to_string().as_str(), bytes), (digits, 3));
        }
        let by_tool = by_tool(&File::open(&path).unwrap());
        assert!(by_tool.is_none_or(|id| id.to_string() == digits), "{by_tool:?}");
    }

    #[test]
    fn this_process_has_a_program() {
        assert!(identify(&this_program().unwrap()).unwrap().1 > 0);
    }
}
