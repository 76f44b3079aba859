//! This program, as peers hear of it.

use dask_proto::message::{Code, Program};

/// This program, which stays where it is.
pub(crate) fn program() -> Program {
    let path = std::env::current_exe().unwrap_or_default();
    Program::named(path.file_name().unwrap_or_default().to_string_lossy())
}

/// This program, which agents may run for this client if it can be started as a worker. Its file is
/// read once, on a thread beside the runtime, while the client connects.
#[cfg(feature = "worker")]
pub(crate) async fn travelling() -> Program {
    use dask_proto::program::Executable;
    use dask_proto::program::ProgramId;
    use tokio::sync::OnceCell;

    static THIS: OnceCell<Option<(ProgramId, u64)>> = OnceCell::const_new();

    let program = program();
    if !crate::role::has_roles() {
        return Program { code: Code::NoRole, ..program };
    }
    let read = || async {
        let read = || dask_program::identify(&dask_program::this_program()?);
        let read = tokio::task::spawn_blocking(read).await;
        match read.map_err(std::io::Error::other).flatten() {
            Ok(this) => Some(this),
            Err(error) => {
                tracing::warn!(%error, "this program cannot be read, so agents cannot run it");
                None
            }
        }
    };
    let Some((id, bytes)) = *THIS.get_or_init(read).await else {
        return program;
    };
    let (name, target) = (program.name.clone(), program.target.clone());
    Program { code: Code::Offered(Executable { id, bytes, name, target }), ..program }
}

/// This program, which has no worker role.
#[cfg(not(feature = "worker"))]
pub(crate) async fn travelling() -> Program {
    Program { code: Code::NoRole, ..program() }
}
