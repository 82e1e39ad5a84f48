"""Makes the files of this folder: plain pickles of numpy arrays as Detectron2 and Caffe2 have them, and for each of them the
type, shape and SHA-256 of its arrays.

    python make.py        (numpy)
"""

import hashlib
import json
import pathlib
import pickle

import numpy as np

HERE = pathlib.Path(__file__).parent


def describe(array):
    plain = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"))
    return {"dtype": str(plain.dtype), "shape": list(array.shape), "sha256": hashlib.sha256(plain.tobytes()).hexdigest()}


def arrays(value, path=()):
    if isinstance(value, np.ndarray):
        return {".".join(path): describe(value)}
    return {key: found for name, item in value.items() for key, found in arrays(item, (*path, name)).items()} if isinstance(value, dict) else {}


def main():
    random = np.random.default_rng(0)
    weight = random.standard_normal((8, 3, 3, 3)).astype(np.float32)
    model = {
        "stem.conv1.weight": weight, "stem.conv1.norm.num_batches": np.array(7), "swapped": weight.astype(">f4"),
        "columns": np.asfortranarray(weight[:, :, 0, 0]), "columns_swapped": np.asfortranarray(weight[:, 0, 0, :]).astype(">f4"),
        "half": weight[0].astype(np.float16), "double": weight[0].astype(np.float64), "bool": weight[0] > 0,
        "bytes": np.arange(5000, dtype=np.uint8), "short": np.arange(4, dtype=">i2"), "complex": np.array([1 + 2j], np.complex64),
        "empty": np.zeros((0, 3), np.float32), "zeros": np.zeros((40, 40), np.float32), "view": weight[::2, 0],
    }
    root = {"model": model, "__author__": "somebody", "matching_heuristics": True, "notes": "x" * 6000, "scalar": np.float32(1.5)}
    blobs = {"blobs": {"conv1_w": weight, "conv1_b": weight[:, 0, 0, 0].copy(), "lr": np.array([0.1])}, "cfg": "MODEL:\n  TYPE: x\n"}
    for name, value in (("detectron2", root), ("blobs", blobs)):
        for protocol in (2, 3, 4, 5):
            (HERE / f"{name}.{protocol}.pkl").write_bytes(pickle.dumps(value, protocol))
        (HERE / f"{name}.json").write_text(json.dumps(arrays(value), indent=1) + "\n")
    (HERE / "flat.2.pkl").write_bytes(pickle.dumps({"a.weight": weight}, 2))
    (HERE / "flat.json").write_text(json.dumps(arrays({"a.weight": weight}), indent=1) + "\n")


main()
