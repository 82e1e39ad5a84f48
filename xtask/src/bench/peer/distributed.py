"""A process of distributed training, with PyTorch: the tasks of the example `measure_distributed`, one thread in each process."""

import time

import pytorch

# As in the example.
NUMBERS = 25_000_000
IMAGES = (4, 3, 224, 224)
CLASSES = 1000
FEATURES = (8, 64, 56, 56)


def all_reduce(_):
    import torch
    import torch.distributed

    numbers = torch.randn(NUMBERS)
    return lambda: torch.distributed.all_reduce(numbers)


def step(arguments):
    import torch

    model = pytorch.traceable(pytorch.build(arguments.network, f"{arguments.folder}/weights.pth")).train()
    model = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, fused=True)
    images, labels = torch.randn(IMAGES), torch.randint(CLASSES, IMAGES[:1])

    def run():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return run


def bn(_):
    import torch

    norm = torch.nn.BatchNorm2d(FEATURES[1])
    features, gradient = torch.randn(FEATURES, requires_grad=True), torch.randn(FEATURES)
    return lambda: torch.autograd.grad((norm(features) * gradient).sum(), features)


TASKS = {"all-reduce": all_reduce, "step": step, "bn": bn}


def prepare(arguments):
    """A function that performs a task once, and returns the milliseconds."""
    import torch
    import torch.distributed

    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    task = TASKS[arguments.engine](arguments)

    def milliseconds():
        start = time.perf_counter()
        task()
        return 1e3 * (time.perf_counter() - start)

    return milliseconds
