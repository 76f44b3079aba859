//! This program, as peers hear of it.

#[cfg(not(feature = "worker"))]
use dask_proto::message::Code;
use dask_proto::message::Program;
use dask_proto::program::ProgramId;

/// This program, which stays where it is.
pub(crate) fn program() -> Program {
    let path = std::env::current_exe().unwrap_or_default();
    Program::named(path.file_name().unwrap_or_default().to_string_lossy())
}

/// This program, which agents may run for this client if it can be started as a worker, as far as
/// it costs nothing to say. Clusters without agents do not ask for more.
pub(crate) fn travelling(token: Option<&str>) -> Program {
    Program { code: known(token), ..program() }
}

/// This program, with what it takes to read it: its file is read once, on a thread beside the
/// runtime. The token vouches for it.
pub(crate) async fn identified(token: Option<&str>) -> Program {
    Program { code: code(token).await, ..program() }
}

/// Which program this is, once a cluster with agents has asked.
#[cfg(feature = "worker")]
pub(super) fn this() -> Option<ProgramId> {
    identity::this()
}

/// It travels nowhere.
#[cfg(not(feature = "worker"))]
pub(super) fn this() -> Option<ProgramId> {
    None
}

#[cfg(feature = "worker")]
mod identity {
    use dask_program::Token;
    use dask_proto::message::Code;
    use dask_proto::program::{Executable, ProgramId};
    use tokio::sync::OnceCell;

    use super::program;

    static THIS: OnceCell<Option<(ProgramId, u64)>> = OnceCell::const_new();

    pub(super) fn this() -> Option<ProgramId> {
        THIS.get().copied().flatten().map(|(id, _)| id)
    }

    /// Whether it travels, if that is known already.
    pub(super) fn known(token: Option<&str>) -> Code {
        if !crate::role::has_roles() {
            return Code::NoRole;
        }
        THIS.get().map_or(Code::Unidentified, |this| offered(*this, token))
    }

    pub(super) async fn code(token: Option<&str>) -> Code {
        if !crate::role::has_roles() {
            return Code::NoRole;
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
        offered(*THIS.get_or_init(read).await, token)
    }

    fn offered(this: Option<(ProgramId, u64)>, token: Option<&str>) -> Code {
        let Some((id, bytes)) = this else {
            return Code::Withheld;
        };
        let program = program();
        let executable = Executable { id, bytes, name: program.name, target: program.target };
        let voucher = token.and_then(Token::new).map(|token| token.vouch(id));
        Code::Offered { executable, voucher }
    }
}

#[cfg(feature = "worker")]
use identity::{code, known};

/// It has no worker role.
#[cfg(not(feature = "worker"))]
fn known(_token: Option<&str>) -> Code {
    Code::NoRole
}

/// It has no worker role.
#[cfg(not(feature = "worker"))]
async fn code(_token: Option<&str>) -> Code {
    Code::NoRole
}
