//! The page of a report.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use dask_proto::human::duration;
use dask_proto::message::{Activity, ActivityKind, WorkerInfo};
use dask_proto::{Address, ByteSize};

use super::{Findings, chart};

const STYLE: &str = "body{font:14px system-ui,sans-serif;margin:2em;max-width:1240px}\
table{border-collapse:collapse;margin:.5em 0 2em}\
td,th{padding:.2em .8em;border-bottom:1px solid #ddd;text-align:right}\
td:first-child,th:first-child{text-align:left}\
h2{margin-top:1.5em}svg{background:#fafafa;border:1px solid #ddd}.note{color:#666}";

/// The runs of one function.
#[derive(Default)]
struct Prefix {
    count: u64,
    failed: u64,
    total_ns: u64,
    longest_ns: u64,
}

/// What one worker fetched from another.
#[derive(Default)]
struct Traffic {
    fetches: u64,
    results: u64,
    nbytes: u64,
    took_ns: u64,
}

pub(super) fn page(findings: &Findings) -> String {
    let mut page = String::new();
    let title = "Performance report";
    // Writing to a string does not fail.
    let _ = write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
    );
    summary(&mut page, findings);
    page.push_str("<h2>Task stream</h2>\n");
    page.push_str(&chart::svg(&findings.records, &findings.info.workers));
    prefixes(&mut page, findings);
    bandwidth(&mut page, findings);
    workers(&mut page, &findings.info.workers);
    page.push_str("</body></html>\n");
    page
}

fn summary(page: &mut String, findings: &Findings) {
    let Findings { took, records, info, version } = findings;
    let runs = records.iter().filter(|r| matches!(r.activity.kind, ActivityKind::Run { .. }));
    let (mut count, mut busy_ns) = (0_u64, 0_u64);
    for record in runs {
        count += 1;
        busy_ns = busy_ns.saturating_add(took_ns(&record.activity));
    }
    let threads: u64 = info.workers.iter().map(|worker| u64::from(worker.nthreads)).sum();
    let lines = [
        ("duration", time(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX))),
        ("tasks run", count.to_string()),
        ("time in tasks, all threads together", time(busy_ns)),
        ("workers", info.workers.len().to_string()),
        ("threads", threads.to_string()),
        ("scheduler", format!("{} ({})", escape(info.address.as_str()), escape(&info.id))),
        ("dask-client", (*version).to_owned()),
    ];
    page.push_str("<table>");
    for (name, value) in lines {
        let _ = write!(page, "<tr><td>{name}</td><td>{value}</td></tr>");
    }
    page.push_str("</table>\n");
}

fn prefixes(page: &mut String, findings: &Findings) {
    let mut by_prefix: BTreeMap<&str, Prefix> = BTreeMap::new();
    for record in &findings.records {
        if let ActivityKind::Run { prefix, ok, .. } = &record.activity.kind {
            let entry = by_prefix.entry(prefix).or_default();
            let took = took_ns(&record.activity);
            entry.count += 1;
            entry.failed += u64::from(!ok);
            entry.total_ns = entry.total_ns.saturating_add(took);
            entry.longest_ns = entry.longest_ns.max(took);
        }
    }
    let mut rows: Vec<_> = by_prefix.into_iter().collect();
    rows.sort_by_key(|(_, prefix)| std::cmp::Reverse(prefix.total_ns));
    page.push_str("<h2>Functions</h2>\n");
    table(
        page,
        &["function", "runs", "failed", "total", "mean", "longest"],
        rows.into_iter().map(|(name, prefix)| {
            let mean = prefix.total_ns / prefix.count.max(1);
            vec![
                format!("<span style=\"color:{}\">■</span> {}", chart::colour(name), escape(name)),
                prefix.count.to_string(),
                prefix.failed.to_string(),
                time(prefix.total_ns),
                time(mean),
                time(prefix.longest_ns),
            ]
        }),
    );
}

fn bandwidth(page: &mut String, findings: &Findings) {
    let mut between: BTreeMap<(&Address, &Address), Traffic> = BTreeMap::new();
    for record in &findings.records {
        if let ActivityKind::Fetch { peer, results, nbytes } = &record.activity.kind {
            let traffic = between.entry((peer, &record.worker)).or_default();
            traffic.fetches += 1;
            traffic.results += u64::from(*results);
            traffic.nbytes = traffic.nbytes.saturating_add(*nbytes);
            traffic.took_ns = traffic.took_ns.saturating_add(took_ns(&record.activity));
        }
    }
    let name = |address: &Address| {
        let mut workers = findings.info.workers.iter();
        let known = workers.find(|worker| worker.address == *address);
        escape(known.map_or(address.as_str(), |worker| &worker.name))
    };
    page.push_str("<h2>Bandwidth</h2>\n");
    let headings = ["from", "to", "fetches", "results", "bytes", "time", "per second"];
    table(
        page,
        &headings,
        between.iter().map(|((from, to), traffic)| {
            let per_second =
                u128::from(traffic.nbytes) * 1_000_000_000 / u128::from(traffic.took_ns.max(1));
            vec![
                name(from),
                name(to),
                traffic.fetches.to_string(),
                traffic.results.to_string(),
                size(traffic.nbytes),
                time(traffic.took_ns),
                size(u64::try_from(per_second).unwrap_or(u64::MAX)),
            ]
        }),
    );
}

fn workers(page: &mut String, workers: &[WorkerInfo]) {
    page.push_str("<h2>Workers</h2>\n");
    let headings =
        ["name", "address", "threads", "status", "memory", "limit", "results", "spilled"];
    table(
        page,
        &headings,
        workers.iter().map(|worker| {
            vec![
                escape(&worker.name),
                escape(worker.address.as_str()),
                worker.nthreads.to_string(),
                worker.status.to_string(),
                size(worker.metrics.memory),
                worker.memory_limit.map_or_else(|| "none".to_owned(), size),
                size(worker.nbytes),
                size(worker.metrics.spilled),
            ]
        }),
    );
}

fn table(page: &mut String, headings: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return page.push_str("<p class=\"note\">none</p>\n");
    }
    page.push_str("<table><tr>");
    for heading in headings {
        let _ = write!(page, "<th>{heading}</th>");
    }
    page.push_str("</tr>\n");
    for row in rows {
        page.push_str("<tr>");
        for cell in row {
            let _ = write!(page, "<td>{cell}</td>");
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n");
}

/// How long it took.
pub(super) fn took_ns(activity: &Activity) -> u64 {
    activity.stop_unix_ns.saturating_sub(activity.start_unix_ns)
}

/// A time as people read it.
pub(super) fn time(nanos: u64) -> String {
    duration(Duration::from_nanos(nanos))
}

/// A size as people read it.
fn size(bytes: u64) -> String {
    ByteSize(bytes).to_string()
}

/// Text that has no meaning to a browser: keys and names are whatever users make them.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use dask_proto::Key;
    use dask_proto::message::{Recorded, SchedulerInfo};

    use super::*;

    fn address(text: &str) -> Address {
        text.parse().expect("an address")
    }

    fn run(key: &str, start: u64, stop: u64) -> Recorded {
        let kind = ActivityKind::Run {
            key: Key::new(key).expect("a short key"),
            prefix: key.split('-').next().unwrap_or(key).to_owned(),
            thread: 1,
            // The second of a function fails.
            ok: !key.ends_with("-2"),
        };
        let activity = Activity { start_unix_ns: start, stop_unix_ns: stop, kind };
        Recorded { worker: address("tcp://10.0.0.1:1"), activity }
    }

    fn findings(records: Vec<Recorded>) -> Findings {
        let info = SchedulerInfo {
            address: address("tcp://10.0.0.1:8786"),
            id: "Scheduler-<1>".to_owned(),
            workers: Vec::new(),
            clients: 1,
            tasks: BTreeMap::new(),
            agents: Vec::new(),
        };
        let took = Duration::from_secs(2);
        Findings { took, records, info, version: "0.1.0" }
    }

    #[test]
    fn functions_are_added_up_and_names_are_text() {
        let fetch =
            ActivityKind::Fetch { peer: address("tcp://10.0.0.2:2"), results: 3, nbytes: 2048 };
        let activity = Activity { start_unix_ns: 0, stop_unix_ns: 1_000_000_000, kind: fetch };
        let records = vec![
            run("inc-1", 0, 1_500_000),
            run("inc-2", 1_500_000, 2_000_000),
            run("<script>-1", 0, 10),
            Recorded { worker: address("tcp://10.0.0.1:1"), activity },
        ];
        let page = page(&findings(records));
        assert!(
            page.contains("<td>2</td><td>1</td><td>2 ms</td><td>1 ms</td><td>1.5 ms</td>"),
            "{page}"
        );
        assert!(page.contains("<td>3</td><td>2 KiB</td><td>1 s</td><td>2 KiB</td>"), "{page}");
        assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"), "{page}");
        assert!(page.contains("Scheduler-&lt;1&gt;"));
        assert_eq!(page.matches("<svg").count(), 1);
    }

    #[test]
    fn a_report_of_nothing_is_one_all_the_same() {
        let page = page(&findings(Vec::new()));
        assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
        assert_eq!(page.matches(">none<").count(), 3, "{page}");
    }
}
