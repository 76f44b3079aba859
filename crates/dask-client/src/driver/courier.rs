//! Sends this program to agents that do not have it, and says what they say of it.

use std::sync::Arc;
use std::time::Duration;

use dask_proto::Address;
use dask_proto::message::{ClientToScheduler, ProgramNews};
use dask_transport::Transports;

use super::queue::{Command, Queue};
use crate::client::program::identified;
use crate::state::Event;

/// What it takes to send this program.
#[derive(Clone)]
#[cfg_attr(not(feature = "worker"), allow(dead_code, reason = "only workers' programs travel"))]
pub(crate) struct Courier {
    inner: Arc<Inner>,
}

#[cfg_attr(not(feature = "worker"), allow(dead_code, reason = "only workers' programs travel"))]
struct Inner {
    transports: Transports,
    scheduler: Address,
    /// What vouches for the program.
    token: Option<String>,
    timeout: Duration,
}

impl Courier {
    pub(crate) fn new(
        transports: Transports,
        scheduler: Address,
        (token, timeout): (Option<String>, Duration),
    ) -> Self {
        Self { inner: Arc::new(Inner { transports, scheduler, token, timeout }) }
    }

    /// Does what the news asks for, without waiting for it; what there is to answer goes to the
    /// queue.
    pub(super) fn hear(&self, news: ProgramNews, queue: &Arc<Queue>) {
        match news {
            #[cfg(feature = "worker")]
            ProgramNews::Wanted { ticket } => {
                tokio::spawn(upload::upload(self.inner.clone(), ticket));
            }
            ProgramNews::Trouble { agent, reason } => {
                tracing::warn!(agent, "the agent {reason}");
            }
            ProgramNews::Identify => {
                tokio::spawn(identify(self.inner.clone(), queue.clone()));
            }
            // Of a later version, or for a program with another set of features.
            _ => {}
        }
    }
}

/// Tells the scheduler which program this is.
async fn identify(courier: Arc<Inner>, queue: Arc<Queue>) {
    let code = identified(courier.token.as_deref()).await.code;
    // Without a driver nobody waits for it.
    let _ = queue.push(Command::Event(Event::Told(ClientToScheduler::Identify { code })));
}

#[cfg(feature = "worker")]
mod upload {
    use std::fs::File;
    use std::sync::Arc;
    use std::time::Instant;

    use dask_proto::human::describe;
    use dask_proto::message::{Code, Hello, ProgramLink, Role};

    use super::Inner;
    use crate::client::program::identified;

    /// Sends the program. The agent says what went wrong, if something did.
    pub(super) async fn upload(courier: Arc<Inner>, ticket: u64) {
        let program = identified(None).await;
        let Code::Offered { executable, .. } = &program.code else {
            return;
        };
        let (name, bytes, started) = (&executable.name, executable.bytes, Instant::now());
        let role = Role::Program(ProgramLink::Upload { ticket });
        let hello = Hello { role, program: program.clone() };
        match send(&courier, &hello, (name, bytes)).await {
            Ok(()) => {
                let seconds = started.elapsed().as_secs_f64();
                tracing::info!(name, bytes, "the program was sent in {seconds:.3} s");
            }
            Err(error) => tracing::info!(name, "the program was not sent: {}", describe(&*error)),
        }
    }

    async fn send(
        courier: &Inner,
        hello: &Hello,
        (name, bytes): (&str, u64),
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let file = File::open(dask_program::this_program()?)?;
        let Inner { transports, scheduler, timeout, .. } = courier;
        let (mut connection, _) =
            dask_transport::connect_once(transports, scheduler, hello, *timeout).await?;
        let bar = bar(name, bytes);
        dask_program::send(&mut connection, file, |sent| bar.set_position(sent)).await?;
        bar.finish_and_clear();
        Ok(())
    }

    /// A line that says how far the program is, on a terminal.
    #[cfg(feature = "progress")]
    fn bar(name: &str, bytes: u64) -> indicatif::ProgressBar {
        let template = "sending {msg} to the cluster {bar:30} {bytes}/{total_bytes}";
        let style = indicatif::ProgressStyle::with_template(template);
        let style = style.unwrap_or_else(|_| indicatif::ProgressStyle::default_bar());
        let bar = indicatif::ProgressBar::new(bytes).with_style(style);
        bar.set_message(name.to_owned());
        bar
    }

    #[cfg(not(feature = "progress"))]
    fn bar(_name: &str, _bytes: u64) -> Silence {
        Silence
    }

    /// A line that is not drawn.
    #[cfg(not(feature = "progress"))]
    struct Silence;

    #[cfg(not(feature = "progress"))]
    impl Silence {
        fn set_position(&self, _sent: u64) {}
        fn finish_and_clear(&self) {}
    }
}
