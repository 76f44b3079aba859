//! Other systems, installed beside the build.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::build::{self, metadata, run};
use crate::error::{Error, Result};

/// A Python environment with other systems in it.
pub(super) struct Venv {
    python: PathBuf,
}

impl Venv {
    /// Makes it at first use, under the target directory.
    pub(super) fn open() -> Result<Venv> {
        let metadata = metadata()?;
        let target = metadata["target_directory"].as_str().unwrap_or("target");
        let path = Path::new(target).join("bench-venv");
        let python = path.join("bin").join("python");
        if !python.exists() {
            run(Command::new("python3").args(["-m", "venv"]).arg(&path))?;
        }
        Ok(Venv { python })
    }

    /// Installs a package at this version, if it is not there, and says what is there.
    pub(super) fn install(&self, package: &str, version: &str) -> Result<String> {
        if self.version(package).as_deref() != Some(version) {
            eprintln!("Installing {package} {version} for the comparison.");
            let requirement = format!("{package}=={version}");
            let mut pip = Command::new(&self.python);
            run(pip.args(["-m", "pip", "install", "--quiet", &requirement]))?;
        }
        let python = self.print("import platform; print(platform.python_version())");
        let found = self.version(package).unwrap_or_default();
        Ok(format!("{package} {found} on Python {}", python.unwrap_or_default()))
    }

    /// A program of `benches/peer` that answers questions.
    pub(super) fn program(&self, file: &str) -> Result<Command> {
        let path = build::root().join("benches").join("peer").join(file);
        if !path.exists() {
            return Err(Error::NoExecutable(file.to_owned()));
        }
        let mut command = Command::new(&self.python);
        // What the programs share would be compiled into the sources otherwise.
        command.env("PYTHONDONTWRITEBYTECODE", "1").arg(path);
        Ok(command)
    }

    fn version(&self, package: &str) -> Option<String> {
        self.print(&format!("import importlib.metadata as m; print(m.version({package:?}))"))
    }

    fn print(&self, code: &str) -> Option<String> {
        let mut command = Command::new(&self.python);
        let output = command.args(["-c", code]).stderr(Stdio::null()).output();
        let output = output.ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}
