//! Questions on standard input, answers on standard output.

use std::fmt::Display;
use std::io::BufRead;
use std::os::unix::process::parent_id;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::figures::Figures;

/// How often a program whose questions have ended looks whether somebody waits for its answers.
const TURN: Duration = Duration::from_millis(50);

/// What to measure: one line, `WORKLOAD SIZE`.
#[derive(Debug, Clone)]
pub struct Question {
    /// The name of the workload.
    pub workload: String,
    /// How much of it: tasks, round trips or bytes.
    pub size: u64,
}

/// No program knows every question.
#[derive(Debug, thiserror::Error)]
#[error("this program does not measure {0:?}")]
pub struct Unknown(pub String);

/// Answers each question in turn, until standard input ends. A question that cannot be answered is
/// answered with `{"error": …}`.
pub async fn answer<E: Display>(mut measure: impl AsyncFnMut(&Question) -> Result<Figures, E>) {
    let mut questions = questions();
    while let Some(question) = questions.recv().await {
        match measure(&question).await {
            Ok(figures) => println!("{figures}"),
            Err(error) => println!("{}", serde_json::json!({ "error": error.to_string() })),
        }
    }
}

/// The questions. When the process that asked has died, this one ends too, whatever it is at.
fn questions() -> UnboundedReceiver<Question> {
    let (sender, receiver) = unbounded_channel();
    let parent = parent_id();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let mut words = line.split_whitespace();
            let workload = words.next().unwrap_or_default().to_owned();
            let size = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
            let _ = sender.send(Question { workload, size });
        }
        drop(sender);
        while parent_id() == parent {
            std::thread::sleep(TURN);
        }
        std::process::exit(1);
    });
    receiver
}
