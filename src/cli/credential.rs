//! Files of certificates, keys and tokens.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::cli::CliError;
use crate::protocol::tls::{Access, CredentialError, Credentials, Identity, Token};

/// For everybody who is to reach the server.
const CERTIFICATE: &str = "certificate.pem";
/// The server's.
const KEY: &str = "key.pem";
/// For both parties.
const TOKEN: &str = "token";
/// No certificate, key or token is longer.
const MOST_BYTES: u64 = 1 << 16;

/// Makes a certificate, its key and a token, each in a new file; says which.
pub(super) fn generate(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let made = Credentials::generate().map_err(|source| CliError::Generation { source })?;
    make_private(folder).map_err(|source| CliError::File { path: folder.to_owned(), source })?;
    let files = [
        (KEY, made.key.as_str(), 0o600),
        (TOKEN, made.token.as_str(), 0o600),
        (CERTIFICATE, &made.certificate, 0o644),
    ];
    let mut written = Vec::new();
    for (name, text, mode) in files {
        let path = folder.join(name);
        if let Err(error) = write_new(&path, text.as_bytes(), mode) {
            // A part of them serves nobody, and would be in the way of the next attempt.
            for path in &written {
                drop(fs::remove_file(path));
            }
            return Err(error);
        }
        written.push(path);
    }
    Ok(written)
}

/// The server's side, from its three files.
pub(super) fn identity(certificate: &Path, key: &Path, token: &Path) -> Result<Identity, CliError> {
    let (certificate_pem, key_pem) = (read(certificate)?, read_secret(key)?);
    Identity::new(&certificate_pem, &key_pem, read_token(token)?).map_err(|source| {
        let path = if matches!(source, CredentialError::Certificates { .. }) { certificate } else { key };
        CliError::Credential { path: path.to_owned(), source }
    })
}

/// The client's side, from the server's certificate and the token.
pub(super) fn access(pin: &Path, token: &Path) -> Result<Access, CliError> {
    let failed = |source| CliError::Credential { path: pin.to_owned(), source };
    Access::new(&read(pin)?, read_token(token)?).map_err(failed)
}

fn read_token(path: &Path) -> Result<Token, CliError> {
    Token::parse(&read_secret(path)?).map_err(|source| CliError::Credential { path: path.to_owned(), source })
}

/// A file that nobody else may be able to read.
fn read_secret(path: &Path) -> Result<Zeroizing<String>, CliError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let found = fs::metadata(path).map_err(|source| CliError::File { path: path.to_owned(), source })?;
        let mode = found.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(CliError::Exposed { path: path.to_owned(), mode });
        }
    }
    read(path)
}

fn read(path: &Path) -> Result<Zeroizing<String>, CliError> {
    let failed = |source| CliError::File { path: path.to_owned(), source };
    // Large enough from the start: a text that grows leaves copies of itself behind.
    let capacity = usize::try_from(MOST_BYTES).unwrap_or(0);
    let mut text = Zeroizing::new(String::with_capacity(capacity));
    File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_string(&mut text)).map_err(failed)?;
    Ok(text)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), CliError> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(mode);
    }
    #[cfg(not(unix))]
    let _ = mode;
    let written = options.open(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|source| match source.kind() {
        ErrorKind::AlreadyExists => CliError::Exists { path: path.to_owned() },
        _ => CliError::File { path: path.to_owned(), source },
    })
}

/// Makes a folder that is its owner's alone, if there is none.
fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(folder)
}
