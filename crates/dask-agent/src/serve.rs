use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use dask_program::send;
use dask_proto::message::{ProgramLink, Rejection, Role, Welcome};
use dask_transport::{Connection, Listener, receive_hello, send_welcome};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::host::Host;

/// How many connections are served at a time; the scheduler has two agents come at once.
const MOST: usize = 32;

/// How long a peer may take to say what it wants.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait before accepting again when that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Sends programs to other agents, for ever.
pub(crate) async fn serve(host: Arc<Host>, mut listener: Box<dyn Listener>) {
    let permits = Arc::new(Semaphore::new(MOST));
    let mut sessions = JoinSet::new();
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok(connection) => {
                let host = host.clone();
                sessions.spawn(async move {
                    session(&host, connection).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while sessions.try_join_next().is_some() {}
    }
}

async fn session(host: &Arc<Host>, mut connection: Connection) {
    let hello = match receive_hello(&mut connection, HANDSHAKE_TIMEOUT).await {
        Ok(hello) => hello,
        Err(error) => return tracing::debug!(%error, "a connection did not become a peer"),
    };
    let Role::Program(ProgramLink::Download { program, .. }) = hello.role else {
        let wanted = "something else than an agent that fetches a program".to_owned();
        let rejection = Rejection::Role { is: "an agent".to_owned(), wanted };
        return answer(&mut connection, Welcome::Rejected(rejection)).await;
    };
    let _in_use = host.config.cache.pin(program);
    let looking = host.clone();
    let found = tokio::task::spawn_blocking(move || {
        let path = looking.config.cache.find(program).map_err(|error| error.to_string())?;
        File::open(path).map_err(|error| error.to_string())
    });
    let file = match found.await {
        Ok(Ok(file)) => file,
        Ok(Err(reason)) => {
            let rejection = Rejection::Program { reason };
            return answer(&mut connection, Welcome::Rejected(rejection)).await;
        }
        Err(_) => return,
    };
    answer(&mut connection, Welcome::Peer).await;
    let peer = connection.peer.clone();
    match send(&mut connection, file, |_| {}).await {
        Ok(()) => tracing::info!(program = program.short(), %peer, "sent to another agent"),
        Err(error) => tracing::warn!(program = program.short(), %peer, %error, "not sent"),
    }
}

/// Answers a hello; a peer that is gone is noticed by what follows.
async fn answer(connection: &mut Connection, welcome: Welcome) {
    let answered = tokio::time::timeout(HANDSHAKE_TIMEOUT, send_welcome(connection, &welcome));
    if let Ok(Err(error)) = answered.await {
        tracing::debug!(%error, "a welcome could not be sent");
    }
}
