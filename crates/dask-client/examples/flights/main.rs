//! All flights that left New York City in 2013: which carrier is late?
//!
//! `cargo run --release --example flights` runs inside this process, with an address on the
//! cluster there. The workers read the file themselves, so they are on this machine.

mod job;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use dask_client::{Client, Result, progress};
use job::{Summary, Sums};

/// Bytes of a range: 31 ranges in all.
const RANGE_BYTES: u64 = 1 << 20;

#[dask_client::main]
async fn main() -> Result<()> {
    let client = match std::env::args().nth(1) {
        Some(address) => Client::connect(address).await?,
        None => Client::local().await?,
    };
    println!("{client:?}");
    let csv = Unpacked::new(&data("flights.csv.zst"))?;

    let start = Instant::now();
    let (parts, whole) = job::submit(&client, &csv.0, RANGE_BYTES)?;
    progress(&parts).await?;
    let summary = whole.result().await?;
    let elapsed = start.elapsed();

    print_table(&summary, &airlines(&data("airlines.csv"))?);
    println!("\n{} ranges in {:.3} s; tasks by worker:", parts.len(), elapsed.as_secs_f64());
    for (worker, counts) in client.finished_counts().await? {
        let counts: Vec<_> = counts.iter().map(|(name, n)| format!("{name} {n}")).collect();
        println!("  {worker}: {}", counts.join(", "));
    }
    client.close().await
}

fn print_table(summary: &Summary, airlines: &BTreeMap<String, String>) {
    let mut rows: Vec<(&String, &Sums)> = summary.iter().collect();
    rows.sort_by(|a, b| {
        b.1.mean_arrival_delay().partial_cmp(&a.1.mean_arrival_delay()).unwrap_or(Ordering::Equal)
    });
    println!(
        "\n{:<28} {:>8} {:>9} {:>20} {:>9} {:>12}",
        "airline", "flights", "arrivals", "mean arrival delay", "max dep.", "miles"
    );
    for (carrier, sums) in &rows {
        print_row(airlines.get(*carrier).unwrap_or(carrier), sums);
    }
    let mut total = Sums::default();
    rows.iter().for_each(|(_, sums)| total.add(sums));
    print_row("all", &total);
}

fn print_row(name: &str, sums: &Sums) {
    let mean = sums.mean_arrival_delay().map_or("NA".to_owned(), |mean| mean.to_string());
    let largest = sums.largest_departure_delay.map_or("NA".to_owned(), |max| max.to_string());
    let (flights, arrivals, miles) = (sums.flights, sums.arrivals, sums.miles);
    println!("{name:<28} {flights:>8} {arrivals:>9} {mean:>20} {largest:>9} {miles:>12}");
}

/// Names by carrier code.
fn airlines(path: &Path) -> io::Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path)?;
    let rows = text.lines().skip(1).filter_map(|line| line.split_once(','));
    Ok(rows.map(|(code, name)| (code.to_owned(), name.to_owned())).collect())
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data").join(name)
}

/// The flights as a file of their own, gone when this is dropped.
struct Unpacked(PathBuf);

impl Unpacked {
    fn new(packed: &Path) -> io::Result<Self> {
        let name = format!("dask-flights-{}.csv", std::process::id());
        let this = Self(std::env::temp_dir().join(name));
        let packed = File::open(packed)?;
        let mut reader =
            ruzstd::decoding::StreamingDecoder::new(packed).map_err(io::Error::other)?;
        io::copy(&mut reader, &mut File::create(&this.0)?)?;
        Ok(this)
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        // A file that stays in the temporary directory does no harm.
        let _ = std::fs::remove_file(&self.0);
    }
}
