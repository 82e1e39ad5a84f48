"""Runs an ONNX file in a runtime: `RUNTIME FILE SIZE...`, the input from stdin, all outputs to stdout, raw f32 numbers.

RUNTIME is onnxruntime or openvino. Inputs are f32, or uint8 if the file takes images."""

import sys

import numpy


def onnxruntime(file):
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    value = session.get_inputs()[0]
    return value.type == "tensor(uint8)", lambda images: session.run(None, {value.name: images})


def openvino(file):
    import openvino

    # By default, processors with bfloat16 compute in it.
    model = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    takes_images = model.input(0).element_type == openvino.Type.u8

    def run(images):
        found = model([images])
        return [found[output] for output in model.outputs]

    return takes_images, run


runtime, file, shape = sys.argv[1], sys.argv[2], [int(size) for size in sys.argv[3:]]
takes_images, run = {"onnxruntime": onnxruntime, "openvino": openvino}[runtime](file)
dtype = numpy.uint8 if takes_images else numpy.float32
images = numpy.frombuffer(sys.stdin.buffer.read(), dtype=dtype).reshape(shape)
for output in run(images):
    sys.stdout.buffer.write(numpy.ascontiguousarray(output, dtype=numpy.float32).tobytes())
