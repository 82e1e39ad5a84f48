"""Runs ONNX files in ONNX Runtime and compares the outputs with those beside them.

    python run.py FOLDER        of `parity --onnx FOLDER`, with onnx, onnxruntime and safetensors

The last line is `N equal, N different, N failed`.
"""

import pathlib
import sys

import numpy
import onnx
import onnxruntime
from safetensors.numpy import load_file

TOLERANCE = {"float16": 2e-3, "float32": 1e-4, "float64": 1e-4}


def check(file):
    onnx.checker.check_model(str(file), full_check=True)
    tensors = load_file(file.with_suffix(".safetensors"))
    try:
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented as error:
        return f"not run: {str(error).split(': ')[-1]}"
    inputs = {value.name: tensors[f"in{index}"] for index, value in enumerate(session.get_inputs())}
    differences = []
    for index, found in enumerate(session.run(None, inputs)):
        expected = tensors[f"out{index}"]
        if found.shape != expected.shape or found.dtype != expected.dtype:
            return f"{found.dtype} {found.shape} instead of {expected.dtype} {expected.shape}"
        if expected.size and expected.dtype.kind == "f":
            scale = max(1.0, numpy.abs(expected[numpy.isfinite(expected)]).max(initial=0))
            differences.append(numpy.nanmax(numpy.abs(found - expected)) / scale / TOLERANCE[expected.dtype.name])
        elif not numpy.array_equal(found, expected):
            return "other values"
    largest = max(differences, default=0)
    return None if largest <= 1 else f"differs by {largest:.1e} of what is allowed"


def main(folder):
    onnxruntime.set_default_logger_severity(3)
    equal, different, failed = 0, 0, 0
    for file in sorted(pathlib.Path(folder).glob("*.onnx")):
        try:
            difference = check(file)
        except Exception as error:
            failed += 1
            print(f"FAIL {file.stem}: {str(error).splitlines()[0][:300]}")
            continue
        if difference is None:
            equal += 1
        elif difference.startswith("not run"):
            print(f"SKIP {file.stem}: {difference}")
        else:
            different += 1
            print(f"DIFFERENT {file.stem}: {difference}")
    print(f"{equal} equal, {different} different, {failed} failed")
    return 1 if different or failed or not equal else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
