"""The reference implementation of TUF and ours, each with a repository that the other made.

    python_tuf.py TUF_CLIENT TUF_REPOSITORY

Both arguments are examples of the crate `trust`: cargo build -p trust --examples. Needs the packages `tuf` and
`securesystemslib[crypto]`. Everything is served on loopback and lies in a temporary folder. Prints one line for each
check; exits with 1 if one of them failed.
"""

import functools
import http.server
import shutil
import subprocess
import sys
import tempfile
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import BadVersionNumberError, RepositoryError, UnsignedMetadataError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.ngclient import Updater

failures = []


def check(what, holds):
    print(f"{'ok  ' if holds else 'FAIL'}  {what}")
    if not holds:
        failures.append(what)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Served:
    """A folder on loopback, for as long as the block runs."""

    def __init__(self, folder):
        handler = functools.partial(Quiet, directory=folder)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class PythonRepository:
    """A repository made with python-tuf: two of two sign root and targets, and one file is delegated."""

    def __init__(self, folder, generate, consistent):
        self.folder, self.consistent = Path(folder), consistent
        self.expires = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=1)
        self.keys = {role: [generate()] for role in ("timestamp", "snapshot", "delegated")}
        self.keys["root"] = self.keys["targets"] = [generate(), generate()]
        root = Root(version=1, expires=self.expires, consistent_snapshot=consistent)
        for role in ("root", "targets", "snapshot", "timestamp"):
            for signer in self.keys[role]:
                root.add_key(signer.public_key, role)
            root.roles[role].threshold = len(self.keys[role])
        self.write("root", root, self.keys["root"], always_versioned=True)
        self.first_root = self.folder / "metadata" / "1.root.json"

    def publish(self, version, content, signers=None):
        delegated = Targets(version=version, expires=self.expires)
        self.add(delegated, "team/b.txt", content + b" of the team")
        self.write("team", delegated, self.keys["delegated"])
        targets = Targets(version=version, expires=self.expires)
        self.add(targets, "a.txt", content)
        key = self.keys["delegated"][0].public_key
        role = DelegatedRole("team", [key.keyid], 1, True, paths=["team/*.txt"])
        targets.delegations = Delegations({key.keyid: key}, {"team": role})
        self.write("targets", targets, self.keys["targets"][:signers])
        meta = {f"{name}.json": MetaFile(version=version) for name in ("targets", "team")}
        self.write("snapshot", Snapshot(version=version, expires=self.expires, meta=meta), self.keys["snapshot"])
        pointer = MetaFile(version=version)
        stamp = Timestamp(version=version, expires=self.expires, snapshot_meta=pointer)
        self.write("timestamp", stamp, self.keys["timestamp"], never_versioned=True)

    def add(self, targets, path, content):
        file = TargetFile.from_data(path, content)
        targets.targets[path] = file
        names = [path]
        if self.consistent:
            folder, _, name = path.rpartition("/")
            names = [f"{folder}/{digest}.{name}".lstrip("/") for digest in file.hashes.values()]
        for name in names:
            self.put(f"targets/{name}", content)

    def write(self, role, signed, signers, always_versioned=False, never_versioned=False):
        document = Metadata(signed)
        for signer in signers:
            document.sign(signer, append=True)
        versioned = (self.consistent or always_versioned) and not never_versioned
        name = f"{signed.version}.{role}.json" if versioned else f"{role}.json"
        self.put(f"metadata/{name}", document.to_bytes())

    def put(self, path, content):
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def our_client_follows(client, name, generate, consistent):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        repository = PythonRepository(folder / "repository", generate, consistent)
        repository.publish(1, b"first")
        shutil.copytree(repository.folder, folder / "old")
        with Served(repository.folder) as served:
            def run(*command, trusted="trusted"):
                words = [client, "--metadata-dir", folder / trusted, "--metadata-url", f"{served.url}/metadata", *command]
                return subprocess.run(words, capture_output=True, timeout=60).returncode

            def download(target):
                place = ["--target-base-url", f"{served.url}/targets", "--target-dir", folder / "downloads"]
                return run("--target-name", target, *place, "download")

            def is_there(target, content):
                path = folder / "downloads" / target
                return path.exists() and path.read_bytes() == content

            check(f"{name}: init", run("init", repository.first_root) == 0)
            elsewhere = [client, "--metadata-dir", folder / "trusted", "--metadata-url", "http://192.0.2.1/", "refresh"]
            reached = subprocess.run(elsewhere, capture_output=True, timeout=10)
            check(f"{name}: another machine is never asked", b"not on this machine" in reached.stderr)
            check(f"{name}: refresh", run("refresh") == 0)
            check(f"{name}: download", download("a.txt") == 0 and is_there("a.txt", b"first"))
            delegated = download("team/b.txt") == 0 and is_there("team/b.txt", b"first of the team")
            check(f"{name}: download of a delegated role's file", delegated)
            check(f"{name}: a file that nobody lists is refused", download("c.txt") == 1)
            repository.publish(2, b"second", signers=1)
            check(f"{name}: one signature of two is refused", run("refresh") == 1)
            repository.publish(3, b"third")
            check(f"{name}: the next version is accepted", run("refresh") == 0 and download("a.txt") == 0)
            check(f"{name}: and brings the new file", is_there("a.txt", b"third"))
            for path in (repository.folder / "targets").rglob("*b.txt"):
                path.write_bytes(b"x" * path.stat().st_size)
            check(f"{name}: a changed file is refused", download("team/b.txt") == 1)
            shutil.rmtree(repository.folder)
            shutil.copytree(folder / "old", repository.folder)
            check(f"{name}: an older set is refused", run("refresh") == 1)
            check(f"{name}: to a newcomer it is not old", run("init", repository.first_root, trusted="new") == 0)
            check(f"{name}: who accepts it", run("refresh", trusted="new") == 0)


def refuses(error, work):
    try:
        work()
    except error:
        return True
    except RepositoryError as other:
        print(f"      refused for another reason: {other!r}")
    return False


def python_client_follows(tool):
    name = "python-tuf on our repository"
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        repository = folder / "repository"

        def publish(version, signatures):
            subprocess.run([tool, repository, str(version), str(signatures)], check=True, timeout=60)

        publish(1, 2)
        shutil.copytree(repository, folder / "old")
        root = (repository / "metadata" / "1.root.json").read_bytes()
        with Served(repository) as served:
            def updater():
                (folder / "trusted").mkdir(exist_ok=True)
                (folder / "downloads").mkdir(exist_ok=True)
                urls = [f"{served.url}/metadata/", str(folder / "downloads"), f"{served.url}/targets/"]
                return Updater(str(folder / "trusted"), *urls, bootstrap=root)

            def content(target):
                client = updater()
                client.refresh()
                found = client.get_targetinfo(target)
                return found and Path(client.download_target(found)).read_bytes()

            check(f"{name}: the board's file", content("space.toml") == b"version = 1\n")
            check(f"{name}: the committee's permit", content("permits/p-1.toml") == b"permit = 1\n")
            check(f"{name}: no permit beside its paths", content("permits/a/p-1.toml") is None)
            publish(2, 1)
            check(f"{name}: one signature of two is refused", refuses(UnsignedMetadataError, updater().refresh))
            publish(3, 3)
            check(f"{name}: three are accepted", content("permits/p-1.toml") == b"permit = 3\n")
            shutil.rmtree(repository)
            shutil.copytree(folder / "old", repository)
            check(f"{name}: an older set is refused", refuses(BadVersionNumberError, updater().refresh))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    client, tool = (str(Path(word).resolve()) for word in sys.argv[1:])
    our_client_follows(client, "ed25519, consistent snapshots", CryptoSigner.generate_ed25519, True)
    our_client_follows(client, "ecdsa, one name for all versions", CryptoSigner.generate_ecdsa, False)
    python_client_follows(tool)
    print(f"{len(failures)} failed" if failures else "all hold")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
