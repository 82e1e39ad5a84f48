"""A parity case: what is to be built and run, and its two files `NAME.json` and `NAME.safetensors`."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file


@dataclass
class Case:
    """The wish: everything that the reference needs in order to produce the expected numbers.

    `inputs` maps a name to a shape; the values are drawn from the case's name, and `masks` names the inputs that are
    bools. `error`, where it is not None, lists what the message of the expected error must contain. `largest` leaves out
    gradients and buffers with more elements.
    """

    name: str
    builder: str
    cfg: Any
    kwargs: dict = field(default_factory=dict)
    inputs: dict = field(default_factory=dict)
    seed: int = 0
    given: bool = False
    digest: bool = False
    init_weights: bool = False
    train: bool = True
    backward: bool = True
    input_gradient: bool = True
    forward_kwargs: dict = field(default_factory=dict)
    forward_seed: int | None = None
    dtype: torch.dtype = torch.float32
    masks: tuple = ()
    error: list | None = None
    rtol: float | None = None
    atol: float | None = None
    largest: int | None = None


@dataclass
class Result:
    """What the reference did: the tensors of the case's file, by their names there, and the norm's abbreviation."""

    tensors: dict
    abbr: str | None = None


def sha256(tensor):
    """SHA-256 of the raw little-endian bytes, in hex."""
    raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.sha256(raw.numpy().tobytes()).hexdigest()


def write(folder, case, result):
    """Writes both files of a case."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = dict(result.tensors)
    record = {
        "builder": case.builder,
        "cfg": case.cfg,
        "kwargs": case.kwargs,
        "seed": case.seed,
        "init_weights": case.init_weights,
        "state": "given" if case.given else "seeded",
    }
    if case.digest:
        state = [key for key in tensors if key.startswith("state:")]
        record["digest"] = {key.removeprefix("state:"): sha256(tensors.pop(key)) for key in state}
    record["train"] = case.train
    record["forward"] = list(case.inputs)
    if case.forward_kwargs:
        record["forward_kwargs"] = case.forward_kwargs
    if case.forward_seed is not None:
        record["forward_seed"] = case.forward_seed
    expect = {"abbr": result.abbr, "error": case.error, "rtol": case.rtol, "atol": case.atol}
    record["expect"] = {key: value for key, value in expect.items() if value is not None}
    (folder / f"{case.name}.json").write_text(json.dumps(record, indent=2) + "\n")
    tensors = {key: value.detach().clone().contiguous() for key, value in tensors.items()}
    save_file(tensors, str(folder / f"{case.name}.safetensors"))


def read(path):
    """Reads the record and the tensors of the case whose JSON file is `path`."""
    path = Path(path)
    return json.loads(path.read_text()), load_file(str(path.with_suffix(".safetensors")))


def difference(found, wanted, rtol=None, atol=None):
    """What first differs among outputs, gradients and buffers afterwards, with PARITY.md's tolerances; else None."""
    tolerance = {"rtol": 1.3e-6 if rtol is None else rtol, "atol": 1e-5 if atol is None else atol, "equal_nan": True}
    for key, tensor in wanted.items():
        if key.startswith(("out", "after:", "grad:")):
            try:
                torch.testing.assert_close(found[key].detach(), tensor.detach(), **tolerance)
            except AssertionError as error:
                return f"{key}: {error}"
    return None
