"""The peers of `bench-peers`, and how they and ours are installed or built. Nothing is left in the repository."""

import dataclasses
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

PHE = ["phe==1.5.0", "gmpy2==2.3.2"]
CRYPTO_MB = ["ipp-crypto==2026.2.0", "intel-cmplr-lib-rt==2026.2.0"]
# Which release there is depends on the Python version; every one is a pre-release.
HEU = ["sf-heu>=0.5.2b0"]
# The release's last four numbers are those of the system whose Python it is for: Ubuntu 22.04's, which is 3.10.
OPENFHE = ["openfhe==1.6.1.0.22.4"]
TENSEAL = ["tenseal>=0.3.16,<0.4"]


@dataclasses.dataclass
class Peer:
    """A library that is measured beside ours."""

    what: str
    script: str
    packages: list[str]
    # What must import: a package may install on a Python that it does not run on.
    module: str = ""


PEERS = {
    "crypto_mb": Peer("Intel crypto_mb, mbx_exp_mb8: eight at once", "modpow.py", CRYPTO_MB),
    "openssl": Peer("OpenSSL's libcrypto, BN_mod_exp_mont, context made once", "modpow.py", []),
    "openssl-consttime": Peer("the same, BN_mod_exp_mont_consttime", "modpow.py", []),
    "gmp": Peer("GMP, mpz_powm through gmpy2", "modpow.py", PHE[1:]),
    "gmp-sec": Peer("GMP, mpz_powm_sec through gmpy2", "modpow.py", PHE[1:]),
    "phe": Peer("python-paillier with gmpy2; textbook randomness, also for the owner", "paillier.py", PHE),
    "heu-zpaillier": Peer("HEU ZPaillier; exponents of half the modulus's length, table", "paillier.py", HEU),
    "heu-ipcl": Peer("HEU with Intel's IPCL; exponents of half the modulus's length", "paillier.py", HEU),
    "heu-ou": Peer("HEU Okamoto-Uchiyama", "paillier.py", HEU),
    "openfhe": Peer("OpenFHE; EvalFastRotation where rotations are hoisted", "lattice.py", OPENFHE, "openfhe"),
    "seal": Peer("Microsoft SEAL inside TenSEAL: no BGV, no HEXL", "lattice.py", TENSEAL, "tenseal.sealapi"),
    "kzen": Peer("kzen-paillier (Rust, GMP); textbook randomness; --with-cargo-peers", "kzen.rs", []),
}

KZEN_MANIFEST = """[package]
name = "kzen-peer"
version = "0.0.0"
edition = "2024"

[workspace]

[[bin]]
name = "kzen-peer"
path = "kzen.rs"

[dependencies]
kzen-paillier = "=0.4.3"
serde_json = "1"
"""


def say(message: str) -> None:
    print(f"bench-peers: {message}", file=sys.stderr, flush=True)


def succeeds(command: list, **more) -> tuple[bool, str]:
    """Whether a command ends well; else the last line that it wrote which says what is wrong."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)
    lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
    wrong = [line for line in lines if "error" in line.lower()] or lines
    return done.returncode == 0, wrong[-1].strip() if wrong else f"status {done.returncode}"


def install(names: list[str], env: Path, base_python: str) -> dict[str, list[str]]:
    """Installs what the named peers need and gives the command of each that has it."""
    python = env / "bin" / "python"
    if not python.exists():
        say(f"making a virtual environment in {env}")
        fine, why = succeeds([base_python, "-m", "venv", env])
        if not fine:
            sys.exit(f"bench-peers: no virtual environment: {why}")
    commands: dict[str, list[str]] = {}
    outcome: dict[tuple, str] = {}
    for name in names:
        peer = PEERS[name]
        key = tuple(peer.packages)
        if name == "kzen":
            outcome[key := ("kzen",)] = build_kzen(env / "kzen")
        elif key not in outcome:
            outcome[key] = install_packages(python, peer.packages) or why_not_running(python, peer.module)
        if outcome[key]:
            say(f"without {name}: {outcome[key]}")
        elif name == "kzen":
            commands[name] = [str(env / "kzen" / "target" / "release" / "kzen-peer")]
        else:
            commands[name] = [str(python), "-B", str(HERE / peer.script), name]
    return commands


def install_packages(python: Path, packages: list[str]) -> str:
    """Why they could not be installed; empty when they are there."""
    names = [package.replace(">", "=").split("=")[0] for package in packages]
    versions = "import sys; from importlib.metadata import version; print(*(f'{n} {version(n)}' for n in sys.argv[1:]))"
    if names and not succeeds([python, "-c", versions, *names])[0]:
        say(f"installing {', '.join(packages)}")
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
        fine, why = succeeds([*pip, *packages])
        if not fine:
            return f"pip: {why}"
    if names:
        say(subprocess.run([python, "-c", versions, *names], capture_output=True, text=True).stdout.strip())
    return ""


def why_not_running(python: Path, module: str) -> str:
    """Why a module does not import; empty when it does, or none is named."""
    if not module:
        return ""
    fine, why = succeeds([python, "-B", "-c", f"import {module}"])
    version = subprocess.run([python, "--version"], capture_output=True, text=True).stdout.strip()
    return "" if fine else f"it does not run on {version} (--python chooses another for a new --env): {why}"


def build_kzen(project: Path) -> str:
    """Why it could not be built; empty when it is there. It links the system's GMP."""
    if not shutil.which("cargo"):
        return "no cargo"
    project.mkdir(parents=True, exist_ok=True)
    (project / "Cargo.toml").write_text(KZEN_MANIFEST)
    shutil.copyfile(HERE / "kzen.rs", project / "kzen.rs")
    say("building kzen-paillier")
    fine, why = succeeds(["cargo", "build", "--release", "--target-dir", "target"], cwd=project)
    return "" if fine else f"cargo: {why} (it needs the library and headers of GMP)"


def build_ours() -> list[str]:
    """Builds benches/peers.rs and gives the command that serves."""
    command = ["cargo", "build", "--release", "--bench", "peers", "--message-format=json-render-diagnostics"]
    say("building ours: " + shlex.join(command))
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit("bench-peers: ours does not build")
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message["reason"] == "compiler-artifact" and message["target"]["name"] == "peers" and message["executable"]:
            return [message["executable"], "--serve"]
    sys.exit("bench-peers: cargo named no executable for the benchmark `peers`")
