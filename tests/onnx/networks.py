"""Exports the networks of the model zoo and compares the files with the networks, in ONNX Runtime and OpenVINO.

    python networks.py MMCV [PART...]      with torch, onnx, onnxruntime and openvino; MMCV is the command, PART a part of names

Each network gets random weights, with batch norms that are not the identity, and is exported as a TorchScript file, as an ONNX
file for any number of images, and as one for any height and width, too. Files are run with one image of 224 x 224 and with
three, of 320 x 256 if sizes are free; outputs may differ by 1e-4 of the largest. Each ONNX file has to pass `onnx.checker` with
`full_check`, and each file to be the same, byte for byte, when it is exported again.

A network whose layers need a fixed input size is refused with `--dynamic`, by an error that names the module.

The last line is `N files agree, N are refused, N do not agree`; the exit status is 1 if one does not.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import onnx
import onnxruntime
import torch

VERIFY = ["--verify", sys.executable, "--runtime", "onnxruntime", "--runtime", "openvino"]


def mmcv(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr else "it failed")
    return json.loads(done.stdout)


def randomize(script, file):
    """Writes random weights for a network, of which `script` is the TorchScript file."""
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for name, tensor in torch.jit.load(script).state_dict().items():
        noise = torch.randn(tensor.shape, generator=generator)
        if name.endswith("running_var"):
            weights[name] = 1 + 0.1 * noise.abs()
        elif tensor.dim() > 1:
            weights[name] = noise * (2 / tensor[0].numel()) ** 0.5
        else:
            weights[name] = 0.1 * noise if name.endswith(("bias", "running_mean")) else 0.5 + 0.1 * noise
    torch.save(weights, file)


def same_twice(command, option, folder):
    """Exports a network twice; returns the first file and its report. `command` is without the option for the file."""
    files = [folder / "first", folder / "second"]
    report = mmcv(*command, option, files[0])
    mmcv(*(argument for argument in command if argument not in VERIFY), option, files[1])
    if files[0].read_bytes() != files[1].read_bytes():
        raise RuntimeError("a second export gives another file")
    return files[0], report


def check_onnx(export, options, folder):
    file, report = same_twice([*export, *options, *VERIFY], "--onnx", folder)
    onnx.checker.check_model(str(file), full_check=True)
    differences = [f"{entry['runtime']} {entry['largest']:.1e}" for entry in report["differences"]]
    return f"{report['nodes']} nodes, {', '.join(differences)}"


def check_script(export, folder):
    """Compares the TorchScript file with the ONNX file, which was compared with the network."""
    file, _ = same_twice(export, "--torchscript", folder)
    mmcv(*export, "--onnx", folder / "other.onnx")
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = torch.jit.load(str(file))(images)
    session = onnxruntime.InferenceSession(folder / "other.onnx", providers=["CPUExecutionProvider"])
    expected = session.run(None, {"input": images.numpy()})
    found = [found] if torch.is_tensor(found) else list(found)
    largest = 0.0
    for left, right in zip(found, expected, strict=True):
        right = torch.from_numpy(right)
        largest = max(largest, float((left - right).abs().max() / right.abs().max()))
    if not largest <= 1e-4:
        raise RuntimeError(f"the outputs differ by {largest:.1e} of the largest one")
    return f"TorchScript {largest:.1e}"


def main(program, *parts):
    networks = {}
    for part in parts or [""]:
        for network in mmcv(program, "zoo", "networks", part, "--json"):
            networks[network["network"]] = network
    agree, refused, differ = 0, 0, 0
    for network in networks.values():
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            base = [program, "export", network["names"][0], "--cfg-options", "checkpoint=null", "--json"]
            mmcv(*base, "--no-fold", "--torchscript", folder / "initial.pt")
            randomize(str(folder / "initial.pt"), folder / "weights.pth")
            export = [*base, "--checkpoint", folder / "weights.pth"]
            for title, check in [
                ("", lambda: check_onnx(export, [], folder)),
                (" --dynamic", lambda: check_onnx(export, ["--dynamic"], folder)),
                (" --torchscript", lambda: check_script(export, folder)),
            ]:
                try:
                    print(f"{network['network']}{title}: {check()}", flush=True)
                    agree += 1
                except Exception as error:
                    if "export with fixed sizes" in str(error):
                        print(f"REFUSED {network['network']}{title}: {str(error)[:300]}", flush=True)
                        refused += 1
                        continue
                    print(f"FAIL {network['network']}{title}: {str(error)[:300]}", flush=True)
                    differ += 1
    print(f"{agree} files agree, {refused} are refused, {differ} do not agree")
    return 1 if differ or not agree else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
