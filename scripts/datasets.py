#!/usr/bin/env python3
"""Take the built-in data sets out of the packages that carry them, or check those that are here.

    python3 scripts/datasets.py            check every file beside the manifest against its SHA-256
    python3 scripts/datasets.py PACKAGES   also write what is missing, from the packages in the folder PACKAGES

The packages are the releases that datasets/manifest.toml names, as `pip download --no-deps NAME==VERSION` leaves them.
Files are written unchanged, and only with the SHA-256 of the manifest. Needs nothing but Python 3.11.
"""

import hashlib
import io
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

DATASETS = Path(__file__).resolve().parent.parent / "datasets"


def member(archive: bytes, path: str) -> bytes:
    """The member `path` of a zip or tar archive; `!` leads into an archive inside the archive."""
    outer, _, inner = path.partition("!")
    if zipfile.is_zipfile(io.BytesIO(archive)):
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            content = opened.read(outer)
    else:
        with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
            content = opened.extractfile(outer).read()
    return member(content, inner) if inner else content


def package(folder: Path, source: dict) -> bytes:
    """The archive of a release, whatever its file name's spelling and tags."""
    start = f"{source['package']}-{source['version']}".replace("_", "-")
    found = [path for path in sorted(folder.iterdir()) if path.name.replace("_", "-").startswith(start)]
    if not found:
        raise SystemExit(f"{folder} has no package {source['package']} {source['version']}")
    return found[0].read_bytes()


def main(arguments: list[str]) -> int:
    if len(arguments) > 1 or arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 2
    wrong = 0
    for entry in tomllib.loads((DATASETS / "manifest.toml").read_text(encoding="utf-8"))["dataset"]:
        source = entry.get("source", {})
        if source.get("registry") != "pypi":
            continue
        for file in entry["files"]:
            path = DATASETS / entry["name"] / file["name"]
            fresh = bool(arguments) and not path.exists()
            if fresh:
                content = member(package(Path(arguments[0]), source), f"{source['path']}/{file['name']}")
            else:
                content = path.read_bytes() if path.exists() else b""
            right = hashlib.sha256(content).hexdigest() == file["sha256"] and len(content) == file["bytes"]
            if right and fresh:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            wrong += not right
            state = ("written" if fresh else "right") if right else "wrong" if content else "missing"
            print(f"{state:8} {entry['name']}/{file['name']}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
