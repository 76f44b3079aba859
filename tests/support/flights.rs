//! The job of the `flights` example, on the real flights.

#[path = "../../crates/dask-client/examples/flights/job.rs"]
mod job;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use dask_client::{Client, Result};

/// The table by carrier code: flights, arrivals, sum of arrival delays, largest departure delay,
/// miles and mean arrival delay.
pub type Table = BTreeMap<String, (u64, u64, i64, Option<i64>, u64, Option<f64>)>;

/// The flights as a file of their own, gone when this is dropped.
#[derive(Debug)]
pub struct Flights(PathBuf);

impl Flights {
    /// Unpacks them.
    ///
    /// # Errors
    /// When the packed file is not there, or the other cannot be written.
    pub fn unpack(name: &str) -> io::Result<Self> {
        let name = format!("dask-tests-{}-{name}.csv", std::process::id());
        let this = Self(std::env::temp_dir().join(name));
        let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/flights.csv.zst");
        let packed = File::open(packed)?;
        let mut reader =
            ruzstd::decoding::StreamingDecoder::new(packed).map_err(io::Error::other)?;
        io::copy(&mut reader, &mut File::create(&this.0)?)?;
        Ok(this)
    }

    /// Where they are.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Runs the job on a cluster, with ranges of this many bytes: the number of ranges, and the
    /// table.
    ///
    /// # Errors
    /// When the job fails.
    pub async fn table(&self, client: &Client, size: u64) -> Result<(usize, Table)> {
        let (parts, whole) = job::submit(client, &self.0, size)?;
        let rows = whole.result().await?.into_iter().map(|(carrier, sums)| {
            let row = (
                sums.flights,
                sums.arrivals,
                sums.arrival_delay,
                sums.largest_departure_delay,
                sums.miles,
                sums.mean_arrival_delay(),
            );
            (carrier, row)
        });
        Ok((parts.len(), rows.collect()))
    }
}

impl Drop for Flights {
    fn drop(&mut self) {
        // A file that stays in the temporary directory does no harm.
        let _ = std::fs::remove_file(&self.0);
    }
}
