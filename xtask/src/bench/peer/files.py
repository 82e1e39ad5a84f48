"""Images from files, as users of PyTorch read them: torchvision's transforms in a DataLoader with a worker for each thread."""

import pathlib
import time

import images
import pytorch

BATCH = 8


class Files:
    """The images of a folder, as `preprocess` of model_zoo/configs/mobilenet_v2.yaml makes them."""

    def __init__(self, folder):
        from torchvision import transforms

        self.files = sorted(pathlib.Path(folder).iterdir())
        mean, std = ([value / 255 for value in values] for values in (images.MEAN, images.STD))
        steps = [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(), transforms.Normalize(mean, std)]
        self.transform = transforms.Compose(steps)

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        from PIL import Image

        return self.transform(Image.open(self.files[index]).convert("RGB"))


def loader(_):
    return lambda batch: batch


def eager(arguments):
    import torch

    model = pytorch.load(arguments)

    def run(batch):
        with torch.inference_mode():
            return pytorch.forward(model, batch)

    return run


def openvino(arguments):
    """One image in a pass, and as many passes at once as OpenVINO thinks best."""
    import openvino
    from openvino import AsyncInferQueue

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": arguments.threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "THROUGHPUT"}
    queue = AsyncInferQueue(core.compile_model(f"{arguments.folder}/1x224.onnx", "CPU", settings))

    def run(batch):
        for image in batch.numpy():
            queue.start_async([image[None]])
        queue.wait_all()

    return run


READERS = {"loader": loader, "eager": eager, "openvino": openvino}


def prepare(arguments):
    """A function that passes all images once, and returns the milliseconds."""
    from torch.utils.data import DataLoader

    run = READERS[arguments.engine.removesuffix("-files")](arguments)
    files = Files(arguments.images)
    batches = DataLoader(files, BATCH, num_workers=arguments.threads, persistent_workers=True)

    def milliseconds():
        start = time.perf_counter()
        for batch in batches:
            run(batch)
        return 1e3 * (time.perf_counter() - start)

    return milliseconds
