"""Replays cases in the Python reference: `python replay.py DIR...`. Checks the files without the Rust side."""

import sys
from pathlib import Path

import torch

import reference
from case import difference, read, sha256


def replay(path):
    """The reason for a failure, or None."""
    record, tensors = read(path)
    expect = record["expect"]
    values = [tensors[f"in:{name}"] for name in record["forward"]]
    seeds = record.get("forward_kwargs", {}), record.get("forward_seed")
    if "error" in expect:
        return replay_error(record, values, seeds)
    module, name = reference.prepare(*(record[key] for key in ["builder", "cfg", "kwargs", "seed", "init_weights"]))
    if expect.get("abbr") not in (None, name):
        return f"abbr {name}"
    state = {key.removeprefix("state:"): value for key, value in tensors.items() if key.startswith("state:")}
    if record["state"] == "given":
        reference.load(module, state)
    else:
        differing = differing_state(module.state_dict(), state, record.get("digest"))
        if differing:
            return f"state differs: {differing}"
    if not values:
        return None
    for name, value in zip(record["forward"], values):
        value.requires_grad_(f"grad:in:{name}" in tensors)
    found = reference.forward(module, values, record["train"], *seeds)
    found |= {f"after:{key}": value.clone() for key, value in reference.buffers(module).items()}
    cotangents = {key: value for key, value in tensors.items() if key == "cot" or key.startswith("cot:")}
    if cotangents:
        reference.backward({key: value for key, value in found.items() if key.startswith("out")}, cotangents)
        found |= {f"grad:{key}": value for key, value in reference.gradients(module).items()}
        found |= {f"grad:in:{name}": value.grad for name, value in zip(record["forward"], values)}
    return difference(found, tensors, expect.get("rtol"), expect.get("atol"))


def differing_state(built, state, digests):
    """Keys that are missing, unexpected, or not equal bit for bit."""
    found = {key: sha256(value) for key, value in built.items()}
    wanted = digests if digests is not None else {key: sha256(value) for key, value in state.items()}
    return sorted(key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key))


def replay_error(record, values, seeds):
    try:
        module, _ = reference.prepare(*(record[key] for key in ["builder", "cfg", "kwargs", "seed", "init_weights"]))
        if values:
            reference.forward(module, values, record["train"], *seeds)
    except Exception:
        return None
    return "no error"


def main():
    paths = [path for folder in sys.argv[1:] for path in sorted(Path(folder).rglob("*.json"))]
    failed = 0
    for path in paths:
        reason = replay(path)
        if reason:
            failed += 1
            print(f"FAIL {path.stem}: {reason}")
    print(f"{len(paths) - failed} passed, {failed} failed")
    sys.exit(1 if failed or not paths else 0)


if __name__ == "__main__":
    main()
