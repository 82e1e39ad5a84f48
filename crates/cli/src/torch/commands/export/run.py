"""Runs an ONNX file in ONNX Runtime: `FILE SIZE...`, the input from stdin, all outputs to stdout, raw f32 numbers."""

import sys

import numpy
import onnxruntime

file, shape = sys.argv[1], [int(size) for size in sys.argv[2:]]
onnxruntime.set_default_logger_severity(3)
session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
images = numpy.frombuffer(sys.stdin.buffer.read(), dtype=numpy.float32).reshape(shape)
for output in session.run(None, {session.get_inputs()[0].name: images}):
    sys.stdout.buffer.write(numpy.ascontiguousarray(output, dtype=numpy.float32).tobytes())
