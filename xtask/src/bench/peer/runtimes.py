"""The engines that load an exported network. Each function returns one that maps images to scores."""

import time

from convert import converted, graph

# As in `mmcv bench`.
INPUTS_PER_STREAM = 16


def onnxruntime(arguments):
    import onnxruntime

    file = graph(arguments)
    if arguments.dtype == "int8":
        file = converted("onnxruntime-int8", file) + "/network.onnx"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    [network_input] = session.get_inputs()
    return lambda images: session.run(None, {network_input.name: images})[0]


def openvino(arguments):
    request = compile_for_openvino(arguments, "LATENCY").create_infer_request()
    return lambda images: request.infer([images], share_inputs=True)[0]


def openvino_streams(arguments, images):
    """A function that runs many inputs on all streams, as `mmcv bench --streams` does, and returns the milliseconds for each."""
    from openvino import AsyncInferQueue

    queue = AsyncInferQueue(compile_for_openvino(arguments, "THROUGHPUT"))
    inputs = INPUTS_PER_STREAM * len(queue)

    def milliseconds():
        start = time.perf_counter()
        for _ in range(inputs):
            queue.start_async([images], share_inputs=True)
        queue.wait_all()
        return 1e3 * (time.perf_counter() - start) / inputs

    return milliseconds


def compile_for_openvino(arguments, hint):
    import openvino

    file = graph(arguments)
    if arguments.dtype == "int8":
        file = converted("openvino-int8", file) + "/network.xml"
    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": arguments.threads,
        "INFERENCE_PRECISION_HINT": "bf16" if arguments.dtype == "bf16" else "f32",
        "PERFORMANCE_HINT": hint,
    }
    return core.compile_model(core.read_model(file), "CPU", settings)


def ncnn(arguments):
    """It takes one image at a time."""
    import ncnn
    import numpy

    folder = converted("ncnn", graph(arguments, batch=1))
    network = ncnn.Net()
    network.opt.num_threads = arguments.threads
    network.opt.use_fp16_packed = network.opt.use_fp16_storage = network.opt.use_fp16_arithmetic = False
    network.opt.use_bf16_storage = arguments.dtype == "bf16"
    if network.load_param(folder + "/network.param") != 0 or network.load_model(folder + "/network.bin") != 0:
        raise RuntimeError("ncnn cannot load the network")

    def run(images):
        scores = []
        for image in images:
            extractor = network.create_extractor()
            extractor.input("in0", ncnn.Mat(image))
            status, output = extractor.extract("out0")
            if status != 0:
                raise RuntimeError("ncnn cannot run the network")
            scores.append(numpy.array(output))
        return numpy.stack(scores)

    return run


def mnn(arguments):
    import MNN
    import numpy

    interpreter = MNN.Interpreter(converted("mnn", graph(arguments)) + "/network.mnn")
    session = interpreter.createSession({"numThread": arguments.threads, "backend": "CPU", "precision": "high"})
    network_input, output = interpreter.getSessionInput(session), interpreter.getSessionOutput(session)

    def tensor(array):
        return MNN.Tensor(array.shape, MNN.Halide_Type_Float, array, MNN.Tensor_DimensionType_Caffe)

    def run(images):
        network_input.copyFrom(tensor(images))
        interpreter.runSession(session)
        scores = tensor(numpy.zeros(output.getShape(), dtype=numpy.float32))
        output.copyToHostTensor(scores)
        return scores.getNumpyData().copy()

    return run
