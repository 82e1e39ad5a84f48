"""One engine of `cargo xtask bench`, a process that measures on request.

    peer ENGINE NETWORK.yaml --folder FOLDER [--batch-size N] [--size S] [--threads T] [--dtype f32|bf16|int8]
                             [--streams] [--channels-last]
    peer TASK NETWORK.yaml --folder FOLDER
    peer ENGINE-files NETWORK.yaml --folder FOLDER --images FOLDER [--threads T]
    peer jpegs FOLDER COUNT
    peer export NETWORK.yaml --folder FOLDER --shapes BATCHxSIZE...
    peer convert FORM NETWORK.onnx TARGET
    peer versions

TASK is one of all-reduce, step and bn: one process of distributed training, which finds the others as with torchrun.
ENGINE-files are loader-files, eager-files and openvino-files: passes over image files, of which `run` tells the milliseconds.

It prints `ready`, and then answers each line of stdin with a line: `run` with the milliseconds of one pass (of one input
with `--streams`), `output FILE` with the scores of the images in FILE, which are raw f32 numbers. `quit` ends it.

NETWORK.yaml is the dict of an mmpretrain model, the same file that `mmcv bench` reads. FOLDER is the network's own:
`export` writes there what the engines load.
"""

import argparse
import importlib.metadata
import platform
import sys
import time

import convert
import distributed
import files
import images
import pytorch
import runtimes

ENGINES = {
    "eager": pytorch.eager,
    "torchscript": pytorch.torchscript,
    "compile": pytorch.compiled,
    "train": pytorch.train,
    "onnxruntime": runtimes.onnxruntime,
    "openvino": runtimes.openvino,
    "ncnn": runtimes.ncnn,
    "mnn": runtimes.mnn,
}

# Engines that can run several passes at once.
STREAMS = {"openvino": runtimes.openvino_streams}

PACKAGES = ["torch", "mmpretrain", "mmcv-lite", "onnxruntime", "openvino", "nncf", "ncnn", "MNN"]


def versions(_):
    print("Python", platform.python_version())
    for package in PACKAGES:
        try:
            print(package, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            pass  # its engine says so


def measure(arguments):
    """Loads an engine, and serves it."""
    example = images.noise(arguments.batch, arguments.size)
    if arguments.streams:
        return serve(arguments, STREAMS[arguments.engine](arguments, example), None)
    run = ENGINES[arguments.engine](arguments)

    def milliseconds():
        start = time.perf_counter()
        run(example)
        return 1e3 * (time.perf_counter() - start)

    return serve(arguments, milliseconds, None if arguments.engine == "train" else run)


def serve(arguments, milliseconds, run):
    print("ready", flush=True)
    for line in sys.stdin:
        word, _, file = line.strip().partition(" ")
        if word == "quit":
            return
        if word == "run":
            print(f"{milliseconds():.3f}", flush=True)
        elif word == "output" and run is not None:
            print(images.text(run(images.read(file, arguments.batch, arguments.size))), flush=True)
        else:
            print(f"error: unexpected {line.strip()!r}", flush=True)


def parse():
    parser = argparse.ArgumentParser(prog="peer")
    commands = parser.add_subparsers(dest="engine", required=True)
    for engine in ENGINES:
        command = commands.add_parser(engine)
        command.set_defaults(run=measure)
        command.add_argument("network")
        command.add_argument("--folder")
        command.add_argument("--batch-size", dest="batch", type=int, default=1)
        command.add_argument("--size", type=int, default=224)
        command.add_argument("--threads", type=int, default=2)
        command.add_argument("--dtype", choices=["f32", "bf16", "int8"], default="f32")
        command.add_argument("--streams", action="store_true")
        command.add_argument("--channels-last", action="store_true")  # only for training
    for task in distributed.TASKS:
        command = commands.add_parser(task)
        command.set_defaults(run=lambda arguments: serve(arguments, distributed.prepare(arguments), None))
        command.add_argument("network")
        command.add_argument("--folder")
    for reader in files.READERS:
        command = commands.add_parser(f"{reader}-files")
        command.set_defaults(run=lambda arguments: serve(arguments, files.prepare(arguments), None))
        command.add_argument("network")
        command.add_argument("--folder")
        command.add_argument("--images")
        command.add_argument("--threads", type=int, default=2)
    command = commands.add_parser("jpegs")
    command.set_defaults(run=lambda arguments: images.write_jpegs(arguments.folder, arguments.count))
    command.add_argument("folder")
    command.add_argument("count", type=int)
    command = commands.add_parser("export")
    command.set_defaults(run=pytorch.export)
    command.add_argument("network")
    command.add_argument("--folder")
    command.add_argument("--shapes", nargs="+")
    command = commands.add_parser("convert")
    command.set_defaults(run=convert.convert)
    command.add_argument("form", choices=convert.FORMS)
    command.add_argument("source")
    command.add_argument("target")
    commands.add_parser("versions").set_defaults(run=versions)
    return parser.parse_args()


if __name__ == "__main__":
    arguments = parse()
    arguments.run(arguments)
