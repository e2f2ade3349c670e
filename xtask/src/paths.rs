//! What is committed must not know the machine it was written on.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::console::Console;
use crate::workspace::{self, Workspace};

/// Looks for absolute paths of a machine in every tracked file.
///
/// # Errors
///
/// When there is one, with file and line of each, or when git cannot list the files.
pub(crate) fn check(workspace: &Workspace, console: &Console) -> Result<()> {
    let mut git = Command::new("git");
    let tracked = workspace::output(git.args(["ls-files", "-z"]).current_dir(workspace.root()))?;
    let places = places(workspace.root());
    let mut files = 0;
    let mut found = Vec::new();
    for file in tracked.split_terminator('\0') {
        // One that is deleted, but not yet committed so, has nothing to say.
        let Ok(bytes) = std::fs::read(workspace.join(file)) else {
            continue;
        };
        files += 1;
        let text = String::from_utf8_lossy(&bytes);
        for (index, line) in text.lines().enumerate() {
            if names_a_machine(line, &places) {
                found.push(format!("{file}:{}: {}", index + 1, line.trim()));
            }
        }
    }
    if found.is_empty() {
        console.note(&format!("{files} files hold no path of a machine"));
        return Ok(());
    }
    bail!("absolute paths of a machine:\n{}", found.join("\n"))
}

/// The folders that give a machine away: homes, temporary ones, and this checkout.
fn places(root: &Path) -> Vec<String> {
    // Put together here, so that this file does not hold what it looks for.
    let mut places: Vec<String> = ["home", "root", "tmp", "Users"].iter().map(|name| format!("/{name}/")).collect();
    // A folder right below the root, such as a container's, has a name too common to look for.
    if root.components().count() > 2 {
        places.push(root.display().to_string());
    }
    places
}

/// Whether the line holds a path below one of these places, not merely a path or URL that has such a part.
fn names_a_machine(line: &str, places: &[String]) -> bool {
    let part_of_longer = |c: char| c.is_alphanumeric() || "._-}*~".contains(c);
    places.iter().any(|place| {
        line.match_indices(place.as_str()).any(|(at, _)| {
            let starts = !line[..at].ends_with(part_of_longer);
            let goes_on = !place.ends_with('/')
                || line[at + place.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '.');
            starts && goes_on
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> bool {
        // `@` stands for the slash, so that this file holds no such path itself.
        names_a_machine(&line.replace('@', "/"), &places(Path::new("/srv/build/urlpool")))
    }

    #[test]
    fn paths_below_homes_temporary_folders_and_the_checkout_are_found() {
        assert!(found("see @home@someone@notes.txt"));
        assert!(found("path = \"@root@.cargo@config.toml\""));
        assert!(found("`@tmp@x`"));
        assert!(found("(@Users@someone@src)"));
        assert!(found("file:@@@srv@build@urlpool@Cargo.toml"));
    }

    #[test]
    fn the_same_words_within_urls_and_relative_paths_are_not() {
        assert!(!found("http:@@a.test@home@page"));
        assert!(!found("guest@root@file"));
        assert!(!found(".@tmp@file"));
        assert!(!found("the root folder @ and @tmp@ itself"));
    }
}
