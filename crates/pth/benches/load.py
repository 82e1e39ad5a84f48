"""What load.rs asks of Python: files to load, and torch's side of the measurements.

    python load.py make legacy|zip MEGABYTES TENSORS FILE
    python load.py measure open|load|open-mmap|load-mmap SMALL FILE

`measure` loads SMALL, then FILE, and prints the seconds, and the most memory that was taken meanwhile, in bytes.
"""

import sys
from time import perf_counter

import torch


def make(kind, megabytes, tensors, file):
    """A state dict as of a network: of four tensors, one is a matrix and three are small."""
    small, groups = 512, int(tensors) // 4
    rows = (int(megabytes) * 10**6 // 4 // groups - 3 * small) // 512
    state = {}
    for group in range(groups):
        state[f"layers.{group}.conv.weight"] = torch.rand(rows, 512)
        for name in ("bias", "running_mean", "running_var"):
            state[f"layers.{group}.bn.{name}"] = torch.rand(small)
    torch.save(state, file, _use_new_zipfile_serialization=kind == "zip")


def memory(key):
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith(key))


def run(what, file):
    state = torch.load(file, weights_only=True, mmap=what.endswith("mmap"))
    if what == "load-mmap":
        state = {key: tensor.clone() for key, tensor in state.items()}
    return state


def measure(what, small, file):
    run(what, small)
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")
    before = memory("VmRSS:")
    start = perf_counter()
    state = run(what, file)
    seconds = perf_counter() - start
    print(seconds, memory("VmHWM:") - before, len(state))


globals()[sys.argv[1]](*sys.argv[2:])
