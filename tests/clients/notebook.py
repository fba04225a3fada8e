"""Runs docs/demo.ipynb from its beginning to its end, as it stands: against a sandbox and a gateway of its own. A cell that fails, fails.

    notebook.py PROGRAM [FOLDER]      the program `datenraum`; where to write what the cells showed, to look at it
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbclient
import nbformat
from jupyter_client import AsyncKernelManager

PROJECT = Path(__file__).resolve().parents[2]
NOTEBOOK = PROJECT / "docs/demo.ipynb"
SECONDS_MAX = 120  # for one cell


def as_it_stands():
    """The notebook; what cells once showed is not kept in the repository, where it would grow old."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        kept = cell.get("outputs") or cell.get("execution_count")
        assert not kept, f"{NOTEBOOK.name} has outputs: clear them before it is committed ({cell.id})"
    return notebook


def show(notebook, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for cell in notebook.cells:
        for number, output in enumerate(cell.get("outputs", [])):
            data = output.get("data", {})
            if "image/png" in data:
                (folder / f"{cell.id}-{number}.png").write_bytes(base64.b64decode(data["image/png"]))
            else:
                (folder / f"{cell.id}-{number}.txt").write_text(output.get("text") or data.get("text/plain", ""))


def main(program, shown=None):
    began = time.monotonic()
    notebook = as_it_stands()
    place = Path(tempfile.mkdtemp(prefix="datenraum-notebook-"))
    sandbox, gateway = place / "sandbox", None
    try:
        up = [program, "sandbox", "up", PROJECT / "demo/oncology.toml", "--dir", sandbox]
        subprocess.run(up, check=True, stdout=subprocess.DEVNULL)
        words = [program, "gateway", "run", "--sandbox", sandbox, "--purpose", "ehds-53-1-e", "--listen", "127.0.0.1:0", "--json"]
        gateway = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        endpoint = json.loads(gateway.stdout.readline())["endpoint"]
        os.environ.update(
            DATENRAUM=str(program),
            DATENRAUM_SANDBOX=str(sandbox),
            DATENRAUM_GATEWAY=endpoint,
            MPLCONFIGDIR=str(place / "matplotlib"),
            IPYTHONDIR=str(place / "ipython"),
        )
        # The kernel is spoken to over files that nobody else can open, not over ports.
        kernel = AsyncKernelManager(kernel_name="python3", transport="ipc", connection_file=str(place / "kernel.json"), ip=str(place / "kernel"))
        where = {"metadata": {"path": str(NOTEBOOK.parent)}}
        client = nbclient.NotebookClient(notebook, km=kernel, timeout=SECONDS_MAX, resources=where)
        client.execute()
        plots = sum("image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", []))
        assert plots == 4, f"{plots} plots"
        print(f"notebook: ok, {plots} plots ({time.monotonic() - began:.1f} s)")
    finally:
        if shown:
            show(notebook, Path(shown))
        if gateway and gateway.poll() is None:
            gateway.terminate()
            gateway.wait(timeout=20)
        subprocess.run([program, "sandbox", "down", sandbox], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(place, ignore_errors=True)


main(Path(sys.argv[1]).resolve(), *sys.argv[2:])
