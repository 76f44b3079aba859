//! The job of the `flights` example on real input, against a plain pass over the same file.

use std::collections::BTreeMap;

use support::cluster::{Cluster, TWO_WORKERS};
use support::flights::{Flights, Table};

on_every_transport! { TWO_WORKERS: the_flights_table_is_that_of_a_plain_pass }

async fn the_flights_table_is_that_of_a_plain_pass(cluster: &Cluster) {
    let flights = Flights::unpack(cluster.client.name()).unwrap();
    let (ranges, table) = flights.table(&cluster.client, 4 << 20).await.unwrap();
    assert_eq!(ranges as u64, cluster.finished("summarize").await);
    assert!(ranges > 6);
    let text = std::fs::read_to_string(flights.path()).unwrap();
    assert_eq!(table, plain_pass(&text));

    assert_eq!(table.len(), 16);
    assert_eq!(table.values().map(|row| row.0).sum::<u64>(), 336_776);
    assert_eq!(table.values().map(|row| row.4).sum::<u64>(), 350_217_607);
    let frontier = &table["F9"];
    assert_eq!((frontier.1, frontier.5), (681, Some(21.920_704_845_814_978)));
}

/// Reads the rows by the names of their columns, one after the other.
fn plain_pass(text: &str) -> Table {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let column = |name: &str| header.iter().position(|column| *column == name).unwrap();
    let [carrier, arrival, departure, miles] =
        ["carrier", "arr_delay", "dep_delay", "distance"].map(column);
    let mut delays: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    let mut table = Table::new();
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        let row = table.entry(fields[carrier].to_owned()).or_default();
        row.0 += 1;
        if let Ok(delay) = fields[arrival].parse() {
            delays.entry(fields[carrier]).or_default().push(delay);
        }
        row.3 = row.3.max(fields[departure].parse().ok());
        row.4 += fields[miles].parse::<u64>().unwrap();
    }
    for (carrier, delays) in delays {
        let row = table.get_mut(carrier).unwrap();
        row.1 = delays.len() as u64;
        row.2 = delays.iter().sum();
        row.5 = Some(row.2 as f64 / row.1 as f64);
    }
    table
}
