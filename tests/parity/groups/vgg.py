"""mmpretrain's `VGG` and `AlexNet`, and `ClsHead`, with small inputs, and with digests in place of the state tensors."""

from case import Case
from groups.options import maybe

LARGEST = 64  # elements of a recorded gradient or buffer


def make(name, shape=None, more=None, **cfg):
    settings = {"digest": True, "largest": LARGEST, "rtol": 1e-4, "atol": 1e-4, **(more or {})}
    if "error" in settings:
        settings |= {"rtol": None, "atol": None}
    return Case(name, "model", {"type": "VGG", **cfg}, inputs={"x": shape} if shape else {}, **settings)


def fixed():
    bn, init = {"type": "BN"}, {"init_weights": True}
    small = (2, 3, 32, 32)
    forward = {"backward": False}  # the gradient of a bias before a batch norm is rounding noise
    # The gradient of this draw differs between AVX2 and AVX-512: a maximum is attained nearly twice.
    yield make("vgg11_init", small, depth=11, more={**init, **forward, "seed": 3})
    yield make("vgg13_bn_stages", (2, 3, 32, 40), depth=13, norm_cfg=bn, out_indices=[1, 3], more={**init, **forward})
    yield make("vgg16_eval", (1, 3, 37, 32), depth=16, out_indices=[0, 2, 4], more={"train": False, "seed": 9})
    yield make("vgg19_build", None, depth=19, norm_cfg=bn, more={**init, "seed": 5})
    yield make("vgg16_classifier_build", None, depth=16, num_classes=10, more={**init, "seed": 6})
    yield make("dilated_without_last_pool", (1, 3, 33, 33), depth=11, with_last_pool=False, dilations=[1, 1, 1, 1, 2])
    yield make("ceil_mode", (1, 3, 33, 35), depth=11, ceil_mode=True, more={"train": False, "backward": False})
    yield make("frozen", small, depth=11, norm_cfg=bn, frozen_stages=2, num_stages=3, dilations=[1, 1, 1], out_indices=[1, 2], more=forward)
    yield make("norm_eval", small, depth=11, norm_cfg=bn, norm_eval=True, num_stages=2, dilations=[1, 1], out_indices=[1])
    yield make("scores", (1, 3, 224, 224), depth=11, num_classes=5, more={"train": False, "backward": False})
    yield make("error_depth", depth=12, more={"error": ["depth", "12"]})
    yield make("error_num_stages", depth=11, num_stages=6, more={"error": ["num_stages", "6"]})
    yield make("error_dilations", depth=11, dilations=[1, 1], more={"error": ["dilations"]})
    yield make("error_out_indices", depth=11, out_indices=[7], more={"error": ["out_indices", "7"]})
    yield make("error_unknown_key", depth=11, with_bn=True, more={"error": ["with_bn"]})
    alexnet = {"digest": True, "largest": LARGEST, "rtol": 1e-4, "atol": 1e-4}
    cfg = {"type": "AlexNet"}
    yield Case("alexnet", "model", cfg, inputs={"x": (2, 3, 64, 64)}, seed=2, init_weights=True, **alexnet)
    scores = {**cfg, "num_classes": 4}
    yield Case("alexnet_scores", "model", scores, inputs={"x": (1, 3, 224, 224)}, train=False, backward=False, **alexnet)
    yield Case("alexnet_error_size", "model", scores, inputs={"x": (1, 3, 100, 100)}, error=[])
    backbone = {"type": "VGG", "depth": 11, "num_stages": 1, "dilations": [1], "out_indices": [0]}
    classifier = {"type": "ImageClassifier", "backbone": backbone, "head": {"type": "ClsHead"}}
    yield Case("cls_head_build", "model", {"type": "ClsHead"})
    yield Case("cls_head", "model", classifier, inputs={"x": (2, 3, 6, 4)}, init_weights=True)


def draw(rng):
    if rng.random() < 0.1:
        size = rng.choice([64, 80, 99])
        inputs = {"x": (rng.choice([1, 2]), 3, size, rng.choice([64, 70]))}
        settings = {"seed": rng.randrange(10**6), "digest": True, "largest": LARGEST, "rtol": 1e-4, "atol": 1e-4}
        return Case("", "model", {"type": "AlexNet"}, inputs=inputs, train=rng.random() < 0.5, **settings)
    cfg = {"type": "VGG", "depth": rng.choice([11, 13, 16, 19])}
    stages = 5
    if rng.random() < 0.5:
        stages = cfg["num_stages"] = rng.randint(1, 5)
    if stages < 5 or rng.random() < 0.3:
        cfg["dilations"] = [rng.choice([1, 1, 2]) for _ in range(stages)]
    if stages < 5 or rng.random() < 0.5:
        cfg["out_indices"] = sorted(rng.sample(range(stages), rng.randint(1, stages)))
    maybe(rng, cfg, "frozen_stages", [-1, 0, 1, stages])
    maybe(rng, cfg, "norm_eval", [True, False])
    maybe(rng, cfg, "ceil_mode", [True, False])
    maybe(rng, cfg, "with_last_pool", [True, False])
    norms = [{"type": "BN"}, {"type": "BN", "momentum": 0.3, "eps": 1e-3}, {"type": "GN", "num_groups": 4}, {"type": "SyncBN"}]
    maybe(rng, cfg, "norm_cfg", norms + [{"type": "BN", "requires_grad": False}], 0.6)
    maybe(rng, cfg, "act_cfg", [{"type": "ReLU"}, {"type": "LeakyReLU"}, {"type": "ELU"}, {"type": "PReLU"}], 0.3)
    maybe(rng, cfg, "conv_cfg", [{"type": "Conv2d"}, {"type": "ConvWS"}, {"type": "Conv", "padding_mode": "zeros"}], 0.3)
    side = rng.choice([32, 33, 40])
    return Case(
        "",
        "model",
        cfg,
        inputs={"x": (rng.choice([1, 2]), 3, side, rng.choice([32, 37]))},
        seed=rng.randrange(10**6),
        digest=True,
        largest=LARGEST,
        rtol=1e-4,
        atol=1e-4,
        init_weights=rng.random() < 0.4,
        train=rng.random() < 0.5,
        backward=rng.random() < 0.6,
    )
