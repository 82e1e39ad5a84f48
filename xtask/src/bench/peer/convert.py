"""Forms of a network that some engines need, made from its ONNX file: each is a folder beside it."""

import os
import shutil
import subprocess
import sys
import tempfile

import images

# Images for calibration.
CALIBRATION = 96


def graph(arguments, batch=None):
    return f"{arguments.folder}/{batch or arguments.batch}x{arguments.size}.onnx"


def converted(form, source):
    """The folder of a form, which is made unless it is up to date."""
    target = f"{source}.{form}"
    if not os.path.exists(target) or os.path.getmtime(target) < os.path.getmtime(source):
        # In another process, since the memory of this one is measured.
        command = [sys.executable, os.path.dirname(__file__), "convert", form, source, target]
        if subprocess.run(command, stdout=sys.stderr).returncode != 0:
            sys.exit(1)  # it has said why
    return target


def convert(arguments):
    source, target = os.path.abspath(arguments.source), os.path.abspath(arguments.target)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(target)) as folder:
        os.chdir(folder)
        os.mkdir("done")
        FORMS[arguments.form](source)
        shutil.rmtree(target, ignore_errors=True)
        os.rename("done", target)


def to_ncnn(source):
    import pnnx

    # It writes more than is asked for, beside its input.
    os.symlink(source, "network.onnx")
    parts = ["ncnnparam=done/network.param", "ncnnbin=done/network.bin"]
    subprocess.run([pnnx.EXEC_PATH, "network.onnx", *parts, "fp16=0"], check=True)


def to_mnn(source):
    # The command mnnconvert would install a package and send a report to its makers.
    import _tools

    options = ["-f", "ONNX", "--modelFile", source, "--MNNModel", "done/network.mnn", "--bizCode", "bench"]
    _tools.mnnconvert(["mnnconvert", *options])
    if not os.path.exists("done/network.mnn"):
        sys.exit("MNN cannot convert the network")


def to_openvino_int8(source):
    os.environ["NNCF_CI"] = "1"  # no reports to its makers
    import nncf
    import openvino

    network = openvino.Core().read_model(source)
    calibration = nncf.Dataset(batches(network.input(0).shape))
    quantized = nncf.quantize(network, calibration, preset=nncf.QuantizationPreset.MIXED, subset_size=CALIBRATION)
    openvino.save_model(quantized, "done/network.xml", compress_to_fp16=False)


def to_onnxruntime_int8(source):
    import onnxruntime.quantization as quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(source, "prepared.onnx", skip_symbolic_shape=True)
    reader = Reader("prepared.onnx")
    # With signed activations, the default, it is slower on x86.
    kind = quantization.QuantType.QUInt8
    quantization.quantize_static("prepared.onnx", "done/network.onnx", reader, per_channel=True, activation_type=kind)


class Reader:
    """The calibration images for ONNX Runtime."""

    def __init__(self, file):
        import onnx

        [network_input] = onnx.load(file, load_external_data=False).graph.input
        shape = [dimension.dim_value for dimension in network_input.type.tensor_type.shape.dim]
        self.inputs = iter([{network_input.name: batch} for batch in batches(shape)])

    def get_next(self):
        return next(self.inputs, None)


def batches(shape):
    """The calibration images in the shape of the network's input."""
    batch, _, size, _ = shape
    return images.crops(CALIBRATION, size, images.CALIBRATION).reshape(-1, batch, 3, size, size)


FORMS = {
    "ncnn": to_ncnn,
    "mnn": to_mnn,
    "openvino-int8": to_openvino_int8,
    "onnxruntime-int8": to_onnxruntime_int8,
}
