//! The results as tables, in markdown and for a terminal.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use crate::report::{Measured, Report};
use crate::rounds::Figures;

/// One table.
struct Table {
    title: String,
    head: Vec<&'static str>,
    lines: Vec<Vec<String>>,
}

/// Prints the tables for a person, with colours only on a terminal.
pub(crate) fn print(report: &Report) {
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    for table in tables(report) {
        println!("\n{}", if colour { format!("\x1b[1m{}\x1b[0m", table.title) } else { table.title.clone() });
        let widths: Vec<usize> = (0..table.head.len())
            .map(|column| {
                let cells = table.lines.iter().map(|line| line[column].chars().count());
                cells.chain([table.head[column].len()]).max().unwrap_or(0)
            })
            .collect();
        let head: Vec<String> = table.head.iter().map(|&cell| cell.to_owned()).collect();
        for line in [&head].into_iter().chain(&table.lines) {
            let mut text = format!("  {:<width$}", line[0], width = widths[0]);
            for (cell, width) in line.iter().zip(&widths).skip(1) {
                // Writing into a string cannot fail.
                let _ = write!(text, "  {cell:>width$}");
            }
            let ours = line[0] == "ours" || line[0].starts_with("ours,");
            println!("{}", if colour && ours { format!("\x1b[1;32m{text}\x1b[0m") } else { text });
        }
    }
}

/// The tables in markdown, with a line about how they came to be.
pub(crate) fn markdown(report: &Report) -> String {
    let Report { processors, runtime, engine, .. } = report;
    let mut text = format!(
        "# Figures\n\n\
         By `cargo xtask bench` on {processors} processors; a {runtime} runtime of tokio, concurrency support {}, pooling \
         allocator {}. Medians of interleaved rounds; only ratios within one table mean anything. `ratio` is the time beside \
         that of the contender whose ratio is 1, `faster` its inverse; `growth` is the time beside that of the same contender in its first line.\n",
        if engine.concurrency { "on" } else { "off" },
        if engine.pooling { "on" } else { "off" },
    );
    for table in tables(report) {
        let Table { title, head, lines } = table;
        // Writing into a string cannot fail.
        let _ = write!(text, "\n## {title}\n\n| {} |\n|---|{}\n", head.join(" | "), "---:|".repeat(head.len() - 1));
        for line in lines {
            let _ = writeln!(text, "| {} |", line.join(" | "));
        }
    }
    text
}

fn tables(report: &Report) -> Vec<Table> {
    let mut tables: Vec<Table> = report.rows.iter().map(row).collect();
    if !report.starts.is_empty() {
        tables.push(Table {
            title: "To begin, over our host".to_owned(),
            head: vec!["library", "component", "cold start", "cached start", "an instance", "an empty call"],
            lines: (report.starts.iter())
                .map(|start| {
                    let times = [start.cold, start.cached, start.instance, start.call].map(time);
                    [start.library.to_owned(), format!("{} KB", start.size / 1000)].into_iter().chain(times).collect()
                })
                .collect(),
        });
    }
    if !report.sizes.is_empty() {
        tables.push(Table {
            title: "The component by feature".to_owned(),
            head: vec!["build", "bytes"],
            lines: report.sizes.iter().map(|size| vec![size.build.clone(), size.bytes.to_string()]).collect(),
        });
    }
    tables
}

fn row(row: &Measured) -> Table {
    let memory = row.figures.iter().any(|figures| figures.memory.is_some());
    let mut head = vec!["contender", "median", "fastest", "quartiles", "a request", "processor", "conns"];
    head.push(if row.counts_speed() { "faster" } else { "ratio" });
    if row.is_growth() {
        head.push("growth");
    }
    if memory {
        head.extend(["process", "guest"]);
    }
    let line = |figures: &Figures| {
        let spread = &figures.time;
        let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let mut line = vec![
            figures.name(),
            time(spread.median),
            time(spread.min),
            format!("{} to {}", time(spread.lower), time(spread.upper)),
            time(figures.per_request()),
            time(figures.processor.median / f64::from(figures.requests)),
            figures.connections.to_string(),
            ratio(row.ratio(figures).map(|ratio| if row.counts_speed() { ratio.recip() } else { ratio })),
        ];
        if row.is_growth() {
            line.push(ratio(row.growth(figures)));
        }
        if memory {
            let kibibytes =
                |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), |bytes| format!("+{} KiB", bytes / 1024));
            line.push(kibibytes(figures.memory.map(|memory| memory.process)));
            line.push(kibibytes(figures.memory.and_then(|memory| memory.guest)));
        }
        line
    };
    Table {
        title: format!("{}, {} rounds", row.title, row.rounds),
        head,
        lines: row.figures.iter().map(line).collect(),
    }
}

/// A time for people, with three digits.
fn time(seconds: f64) -> String {
    let (number, unit) = match seconds {
        seconds if seconds >= 1.0 => (seconds, "s"),
        seconds if seconds >= 1e-3 => (seconds * 1e3, "ms"),
        seconds if seconds >= 1e-6 => (seconds * 1e6, "µs"),
        seconds => (seconds * 1e9, "ns"),
    };
    let digits = if number >= 100.0 {
        0
    } else if number >= 10.0 {
        1
    } else {
        2
    };
    format!("{number:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits() {
        assert_eq!([1.5, 0.0123, 0.000_123, 2e-7].map(time), ["1.50 s", "12.3 ms", "123 µs", "200 ns"]);
    }
}
