//! The same from the command line.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn henn(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_henn"));
    command
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .env("HENN_EXPERIMENTS", concat!(env!("CARGO_MANIFEST_DIR"), "/experiments"))
        .args(arguments);
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    henn(folder, arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder with a certificate, its key and a token in `secrets`.
fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = run(folder.path(), &["doctor", "--certificates", "secrets"]);
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    folder
}

const SERVER: [&str; 6] =
    ["--certificate", "secrets/certificate.pem", "--key", "secrets/key.pem", "--token", "secrets/token"];
const CLIENT: [&str; 4] = ["--pin", "secrets/certificate.pem", "--token", "secrets/token"];

struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already where all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(folder: &Path, arguments: &[&str]) -> Server {
    let address_file = folder.join("address");
    drop(fs::remove_file(&address_file));
    let child = henn(folder, &["serve", "--address-file", "address"])
        .args(arguments)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !address_file.exists() {
        assert!(start.elapsed() < Duration::from_secs(20), "the server did not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    Server { child, address: fs::read_to_string(&address_file).unwrap() }
}

#[test]
fn certificates_are_made_once_and_secrets_are_their_owners() {
    let folder = prepared();
    let read = |name: &str| fs::read_to_string(folder.path().join("secrets").join(name)).unwrap();
    let before = ["certificate.pem", "key.pem", "token"].map(read);
    assert!(before[0].starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(before[1].starts_with("-----BEGIN PRIVATE KEY-----"));
    assert!(before[2].trim().len() == 64 && hex::decode(before[2].trim()).is_ok());
    #[cfg(unix)]
    for name in ["key.pem", "token"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(folder.path().join("secrets").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let again = run(folder.path(), &["doctor", "--certificates", "secrets"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(stderr(&again).contains("not written over"), "{}", stderr(&again));
    // One that is there is in the way of all, and nothing of the others is left.
    fs::remove_file(folder.path().join("secrets/key.pem")).unwrap();
    assert_eq!(run(folder.path(), &["doctor", "--certificates", "secrets"]).status.code(), Some(2));
    assert!(!folder.path().join("secrets/key.pem").exists());
    assert_eq!([read("certificate.pem"), read("token")], [before[0].clone(), before[2].clone()]);
}

#[test]
fn what_would_be_no_protection_is_refused() {
    let folder = prepared();
    let refused = |arguments: &[&str], code: i32, needle: &str| {
        let output = run(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(needle), "{arguments:?}: {}", stderr(&output));
    };
    refused(&["serve", "--listen", "0.0.0.0:0"], 3, "no loopback address");
    refused(&["serve", "--listen", "0.0.0.0:0", "--token", "secrets/token"], 2, "--certificate");
    refused(&["serve", "--token", "secrets/token"], 2, "--certificate");
    refused(&["serve", SERVER[0], SERVER[1], SERVER[2], SERVER[3]], 2, "--token");
    refused(&["run", "quickstart", "--connect", "192.0.2.1:7447"], 3, "no loopback address");
    refused(&["run", "quickstart", "--connect", "127.0.0.1:1", "--token", "secrets/token"], 2, "--pin");
    refused(&[&["run", "quickstart"], &CLIENT[..]].concat(), 2, "--connect");
    refused(&["serve", "--sessions", "0"], 2, "1..=4096");
    let write = |name: &str, text: &str| {
        let path = folder.path().join("secrets").join(name);
        // Keeps the file's mode.
        let mut file = fs::File::options().write(true).truncate(true).open(path).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    };
    write("token", "0123");
    refused(&[&["serve"], &SERVER[..]].concat(), 2, "64 hexadecimal digits expected");
    write("certificate.pem", "nothing");
    refused(&[&["serve"], &SERVER[..]].concat(), 2, "secrets/token");
    write("token", &"5".repeat(64));
    refused(&[&["serve"], &SERVER[..]].concat(), 2, "exactly 1 expected");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let key = folder.path().join("secrets/key.pem");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        refused(&[&["serve"], &SERVER[..]].concat(), 3, "others can read it (mode 644)");
    }
}

#[test]
fn a_run_with_a_server_elsewhere_leaves_the_same_records() {
    let folder = prepared();
    fs::copy(
        concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/quickstart.toml"),
        folder.path().join("x.toml"),
    )
    .unwrap();
    let smaller = [
        "--set",
        "data.test_limit=3",
        "--set",
        "scheme.modulus_bits=1024",
        "--set",
        "scheme.security=\"paper\"",
    ];
    let run_to = |out: &str, more: &[&str]| {
        let output = run(folder.path(), &[&["run", "x.toml", "--out", out], &smaller[..], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        fs::read_to_string(folder.path().join(out).join("x/records.jsonl")).unwrap()
    };
    let alone = run_to("alone", &[]);
    // All addresses of this machine, which takes TLS.
    let server = serve(folder.path(), &[&["--listen", "0.0.0.0:0"], &SERVER[..]].concat());
    let port = server.address.rsplit(':').next().unwrap();
    let address = format!("127.0.0.1:{port}");
    assert!(run_to("far", &[&["--connect", &address], &CLIENT[..]].concat()) == alone, "records differ");
}
