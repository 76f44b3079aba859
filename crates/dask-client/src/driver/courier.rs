//! Sends this program to agents that do not have it, and says what they say of it.

use std::sync::Arc;
use std::time::Duration;

use dask_proto::Address;
use dask_proto::message::{Program, ProgramNews};
use dask_transport::Transports;

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
    program: Program,
    timeout: Duration,
}

impl Courier {
    pub(crate) fn new(
        transports: Transports,
        scheduler: Address,
        program: Program,
        timeout: Duration,
    ) -> Self {
        Self { inner: Arc::new(Inner { transports, scheduler, program, timeout }) }
    }

    /// Does what the news asks for, without waiting for it.
    pub(super) fn hear(&self, news: ProgramNews) {
        match news {
            #[cfg(feature = "worker")]
            ProgramNews::Wanted { ticket } => {
                tokio::spawn(upload::upload(self.inner.clone(), ticket));
            }
            ProgramNews::Trouble { agent, reason } => {
                tracing::warn!(agent, "the agent {reason}");
            }
            // Of a later version, or for a program with another set of features.
            _ => {}
        }
    }
}

#[cfg(feature = "worker")]
mod upload {
    use std::fs::File;
    use std::sync::Arc;
    use std::time::Instant;

    use dask_proto::message::{Code, Hello, ProgramLink, Role};

    use super::Inner;
    use crate::driver::describe;

    /// Sends the program. The agent says what went wrong, if something did.
    pub(super) async fn upload(courier: Arc<Inner>, ticket: u64) {
        let Code::Offered(executable) = &courier.program.code else {
            return;
        };
        let (name, bytes, started) = (&executable.name, executable.bytes, Instant::now());
        match send(&courier, ticket, (name, bytes)).await {
            Ok(()) => {
                let seconds = started.elapsed().as_secs_f64();
                tracing::info!(name, bytes, "the program was sent in {seconds:.3} s");
            }
            Err(error) => tracing::info!(name, "the program was not sent: {}", describe(&*error)),
        }
    }

    async fn send(
        courier: &Inner,
        ticket: u64,
        (name, bytes): (&str, u64),
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let file = File::open(dask_program::this_program()?)?;
        let role = Role::Program(ProgramLink::Upload { ticket });
        let hello = Hello { role, program: courier.program.clone(), token: None };
        let Inner { transports, scheduler, timeout, .. } = courier;
        let (mut connection, _) =
            dask_transport::connect_once(transports, scheduler, &hello, *timeout).await?;
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
