//! What happened between two moments, as one page: Dask's `performance_report`.

mod chart;
mod html;

use std::path::Path;
use std::time::{Duration, Instant};

use dask_proto::message::{Recorded, SchedulerInfo};

use crate::{Client, Result, TaskStream};

/// A report that has begun: [`performance_report`].
#[derive(Debug)]
pub struct PerformanceReport {
    client: Client,
    stream: TaskStream,
    began: Instant,
}

/// What goes into a report.
struct Findings {
    took: Duration,
    records: Vec<Recorded>,
    info: SchedulerInfo,
    version: &'static str,
}

/// Begins a report of what the cluster does: Dask's `performance_report`.
/// [`PerformanceReport::save`] ends it, with one HTML file that needs nothing else: when which task
/// ran on which thread, how long the tasks of each function take, what workers fetched from each
/// other and how fast, and the workers themselves.
///
/// ```
/// # use dask_client::{Client, Result, performance_report, task};
/// # #[task] fn inc(x: i64) -> i64 { x + 1 }
/// # #[dask_client::main]
/// # async fn main() -> Result<()> {
/// # let client = Client::local().await?;
/// let report = performance_report(&client).await?;
/// client.gather(client.map(inc, 0..100)).await?;
/// # let path = std::env::temp_dir().join(format!("report-{}.html", std::process::id()));
/// report.save(&path).await?;
/// # assert!(std::fs::read_to_string(&path)?.contains("inc"));
/// # std::fs::remove_file(&path)?;
/// # client.close().await
/// # }
/// ```
///
/// # Errors
/// When the scheduler is gone.
pub async fn performance_report(client: &Client) -> Result<PerformanceReport> {
    let stream = client.get_task_stream().await?;
    Ok(PerformanceReport { client: client.clone(), stream, began: Instant::now() })
}

impl Client {
    /// [`performance_report`] of this client.
    ///
    /// # Errors
    /// As there.
    pub async fn performance_report(&self) -> Result<PerformanceReport> {
        performance_report(self).await
    }
}

impl PerformanceReport {
    /// The report of what happened until now, as HTML.
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn html(&self) -> Result<String> {
        let took = self.began.elapsed();
        let records = self.stream.data().await?;
        let info = self.client.scheduler_info().await?;
        let version = env!("CARGO_PKG_VERSION");
        Ok(html::page(&Findings { took, records, info, version }))
    }

    /// Writes the report of what happened until now to a file.
    ///
    /// # Errors
    /// When the file cannot be written, or the scheduler is gone.
    pub async fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let html = self.html().await?;
        let path = path.as_ref().to_owned();
        let written = tokio::task::spawn_blocking(move || std::fs::write(path, html)).await;
        Ok(written.map_err(std::io::Error::other)??)
    }
}
