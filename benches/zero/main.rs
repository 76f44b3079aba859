//! How fast is the scheduler alone? A real scheduler process, with a client and two workers that
//! cost next to nothing: the workers say that every task is done as soon as they hear of it.
//!
//! Beside that, the scheduler's state without any connection, with 10 to 10,000 workers.
//! `cargo xtask bench` asks this program; by hand, one question a line on standard input:
//! `echo "independent 100000" | target/release/zero`.

mod cluster;
mod growth;
mod session;
mod shape;

use std::io;

use rig::figures::Figures;
use rig::question::{self, Question, Unknown};

use crate::session::Session;

/// Its threads do the work of the client and of both workers.
#[tokio::main]
async fn main() {
    let mut session = None;
    question::answer(async |question| measure(&mut session, question).await).await;
}

async fn measure(session: &mut Option<Session>, question: &Question) -> io::Result<Figures> {
    if question.workload == "growth" {
        return Ok(growth::measure(question.size));
    }
    if question.workload.starts_with("state-") {
        return shape::run(&question.workload, question.size);
    }
    let session = match session {
        Some(session) => session,
        none => none.insert(Session::start().await?),
    };
    match question.workload.as_str() {
        "independent" => session.independent(question.size).await,
        "merge" => session.merge(question.size).await,
        other => Err(io::Error::other(Unknown(other.to_owned()))),
    }
}
