//! Plays every case to every client, and writes the tables.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use futures::future::try_join_all;
use urlpool_compare::{Case, Contender, Table, Verdict, all, play};
use urlpool_conformance::Rig;

const USAGE: &str = "\
Usage: urlpool-compare [FILTER]...   play the cases whose names hold one of the filters, and print what came of them;
                                     without a filter all of them, and write the tables
       urlpool-compare --list        their names
       urlpool-compare --missing     what is missing, one a line: `debian PACKAGE` or `set NAME`
";

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.first().map(String::as_str) {
        Some("--list") => {
            for case in all() {
                println!("{}", case.id);
            }
            Ok(ExitCode::SUCCESS)
        }
        Some("--missing") => {
            missing();
            Ok(ExitCode::SUCCESS)
        }
        Some(option) if option.starts_with('-') => {
            eprint!("{USAGE}");
            Ok(ExitCode::from(2))
        }
        _ => compare(&args).await,
    };
    result.unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::FAILURE
    })
}

/// Tells what would have to be installed, what others need first.
fn missing() {
    let mut sets: Vec<_> = Contender::OTHERS.into_iter().filter_map(Contender::needs).collect();
    sets.dedup();
    sets.retain(|set| !set.is_installed());
    for package in sets.iter().filter(|set| set.kind().interpreter().is_none()).filter_map(|set| set.kind().debian()) {
        println!("debian {package}");
    }
    for set in sets {
        println!("set {}", set.name());
    }
}

async fn compare(filters: &[String]) -> Result<ExitCode> {
    let wanted: Vec<_> = all()
        .into_iter()
        .filter(|case| filters.is_empty() || filters.iter().any(|filter| case.id.contains(filter)))
        .collect();
    if wanted.is_empty() {
        bail!("no case is named like {}", filters.join(" or "));
    }
    let rig = Rig::embedded()?;
    let mut contenders = vec![Contender::ours(&rig)];
    let mut absent = Vec::new();
    for name in Contender::OTHERS {
        match Contender::other(name).await? {
            Some(contender) => contenders.push(contender),
            None => absent.push(name),
        }
    }

    let names = contenders.iter().map(|it| (it.name().to_owned(), it.version().to_owned())).collect();
    // Side by side: each has servers of its own for each case, and hangs at times.
    let columns = try_join_all(contenders.iter_mut().map(|contender| column(&wanted, contender))).await?;
    let mut table = Table::new(names);
    for (index, case) in wanted.iter().enumerate() {
        table.push(*case, columns.iter().map(|column| column[index].clone()).collect());
    }

    println!("{}", table.markdown());
    println!("{}", table.summary());
    if !absent.is_empty() {
        println!("WARNING: not compared, as what they need is not installed: {}", absent.join(", "));
    }
    if filters.is_empty() {
        if absent.is_empty() {
            write(&table)?;
        } else {
            println!("WARNING: the tables are left as they are, since there would be less in them");
        }
    }
    let wrong = table.wrong("urlpool");
    for (id, what) in &wrong {
        println!("WRONG: {id}: {what}");
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All cases played to one contender, one after the other.
async fn column(cases: &[Case], contender: &mut Contender<'_>) -> Result<Vec<Verdict>> {
    let mut column = Vec::new();
    for case in cases {
        column.push(play(case, contender).await?);
    }
    Ok(column)
}

fn write(table: &Table) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    save(&folder.join("RESULTS.md"), &format!("{HEADING}{}", table.markdown()))?;
    save(&folder.join("results.json"), &format!("{:#}\n", table.json()))?;
    let readme = folder.join("../README.md");
    let text = std::fs::read_to_string(&readme).with_context(|| readme.display().to_string())?;
    save(&readme, &between(&text, &table.summary()).context("README.md: no place for the table of comparisons")?)
}

fn save(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| path.display().to_string())
}

/// The text with this between the two marks in it.
fn between(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
}

const BEGIN: &str = "<!-- written by cargo xtask compare -->";
const END: &str = "<!-- end of what it wrote -->";

const HEADING: &str = "\
# Who does what is right

Written by `cargo xtask compare`, which plays the same servers to each client. [README.md](README.md) says how.

✓ is right. – is what the specification allows as well, but leaves the caller with less. ✗ is wrong; below each table
stands what is right, where that is said, and what happened instead.
";
