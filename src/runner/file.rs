//! Files that are either complete or not there, and a lock on a results directory.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::runner::RunError;

/// Writes a file through a temporary one beside it, so that nobody ever sees half of it.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let write = || {
        fs::create_dir_all(directory)?;
        let mut temporary = NamedTempFile::new_in(directory)?;
        temporary.write_all(bytes)?;
        temporary.as_file().sync_all()?;
        set_shared_permissions(temporary.as_file())?;
        temporary.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(RunError::file(path))
}

/// Temporary files are private to their owner; results are for everyone.
#[cfg(unix)]
fn set_shared_permissions(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn set_shared_permissions(_file: &File) -> std::io::Result<()> {
    Ok(())
}

/// An exclusive hold on a directory, given back when dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes hold of `directory`, which is made if needed.
    pub fn take(directory: &Path) -> Result<Self, RunError> {
        let path: PathBuf = directory.join(".lock");
        fs::create_dir_all(directory).map_err(RunError::file(directory))?;
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(RunError::file(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(RunError::Locked { path: directory.to_owned() }),
            Err(TryLockError::Error(error)) => Err(RunError::file(path)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/er/file");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_an_error_with_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let blocker = directory.path().join("file");
        write_atomic(&blocker, b"").unwrap();
        let error = write_atomic(&blocker.join("below"), b"").unwrap_err();
        assert!(error.to_string().contains("below"));
    }

    #[test]
    fn a_directory_is_held_by_one_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let held = Lock::take(directory.path()).unwrap();
        assert!(matches!(Lock::take(directory.path()), Err(RunError::Locked { .. })));
        drop(held);
        Lock::take(directory.path()).unwrap();
    }
}
