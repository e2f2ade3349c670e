//! Files as streams of the host.

use std::io;
use std::path::{Component, Path};

use wasip2::filesystem::preopens;
use wasip2::filesystem::types::{DescriptorFlags, ErrorCode, OpenFlags, PathFlags};
use wasip2::io::streams::InputStream;

/// Opens a file to be read while it is sent: its stream and its length, for [`Body::stream`](crate::Body::stream) and
/// [`Form::file_stream`](crate::Form::file_stream).
///
/// The path is looked up in the folders that the host opened for this component, as `std::fs` does. Imports `wasi:filesystem`.
///
/// ```ignore
/// let form = Form::new().file_stream("report", "report.pdf", "application/pdf", urlpool::open("reports/report.pdf")?);
/// ```
///
/// # Errors
///
/// When no such folder holds it, it is no file, or the host does not let it be read.
pub fn open(path: impl AsRef<Path>) -> io::Result<(InputStream, Option<u64>)> {
    let path = path.as_ref();
    let folders = preopens::get_directories();
    let inside = folders.iter().filter_map(|(folder, name)| Some((name.len(), folder, within(path, Path::new(name))?)));
    let Some((_, folder, rest)) = inside.max_by_key(|(length, ..)| *length) else {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("{}: in no folder of this component", path.display()),
        ));
    };
    let failed = |code: ErrorCode| io::Error::new(kind(code), format!("{}: {}", path.display(), code.message()));
    let file =
        folder.open_at(PathFlags::SYMLINK_FOLLOW, &rest, OpenFlags::empty(), DescriptorFlags::READ).map_err(failed)?;
    let length = file.stat().map_err(failed)?.size;
    let stream = file.read_via_stream(0).map_err(failed)?;
    Ok((stream, Some(length)))
}

/// The path as seen from a folder, when that holds it.
fn within(path: &Path, folder: &Path) -> Option<String> {
    // A relative path is looked up from what the host calls `.`, or from the root where it opened that.
    let rest = match (path.has_root(), folder.as_os_str().to_str()?) {
        (false, "." | "" | "/") => path,
        _ => path.strip_prefix(folder).ok()?,
    };
    let parts = rest.components().filter(|part| !matches!(part, Component::CurDir));
    Some(parts.collect::<std::path::PathBuf>().to_str()?.to_owned())
}

fn kind(code: ErrorCode) -> io::ErrorKind {
    match code {
        ErrorCode::NoEntry => io::ErrorKind::NotFound,
        ErrorCode::Access | ErrorCode::NotPermitted | ErrorCode::ReadOnly => io::ErrorKind::PermissionDenied,
        ErrorCode::IsDirectory => io::ErrorKind::IsADirectory,
        // The host has a message for each of the others.
        _ => io::ErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_from_the_folder_that_holds_it() {
        let seen = |path: &str, folder: &str| within(Path::new(path), Path::new(folder));
        assert_eq!(seen("/data/a/b.txt", "/data").as_deref(), Some("a/b.txt"));
        assert_eq!(seen("a/b.txt", ".").as_deref(), Some("a/b.txt"));
        assert_eq!(seen("./a/b.txt", "/").as_deref(), Some("a/b.txt"));
        assert_eq!(seen("data/b.txt", "data").as_deref(), Some("b.txt"));
        assert_eq!(seen("/other/b.txt", "/data"), None);
    }
}
