"""What the groups of ResNet's family share: narrow networks on small inputs, with digests in place of the state tensors."""

from case import Case
from groups.options import maybe

LARGEST = 8  # elements of a recorded gradient or buffer
TOLERANCE = 2e-4  # many layers, and batch norms over few pixels

NORMS = [
    {"type": "BN", "momentum": 0.3},
    {"type": "SyncBN"},
    {"type": "SyncBN", "requires_grad": False},
    {"type": "BN", "requires_grad": False},
    {"type": "BN2d", "eps": 0.01},
    {"type": "GN", "num_groups": 2},
    {"type": "GN", "num_groups": 1, "requires_grad": True},
    {"type": "IN", "affine": True},
]
CONVS = [{"type": "Conv2d"}, {"type": "ConvWS"}, {"type": "Conv", "padding_mode": "reflect"}, {"type": "ConvAWS"}]
RULES = [
    None,
    [],
    {"type": "Constant", "val": 0.1, "layer": "Conv2d"},
    [{"type": "Kaiming", "layer": "Conv2d", "mode": "fan_in"}, {"type": "Constant", "val": 0.5, "layer": "BatchNorm2d"}],
    [{"type": "Xavier", "layer": ["Conv2d", "ConvWS2d"]}, {"type": "Normal", "std": 0.3, "override": {"name": "layer1"}}],
    [{"type": "TruncNormal", "std": 0.1, "layer": "Conv2d"}, {"type": "Uniform", "layer": "_BatchNorm"}],
]


def make(name, cfg, shape=(2, 3, 24, 24), more=None):
    """A fixed case."""
    settings = {"digest": True, "largest": LARGEST, "rtol": TOLERANCE, "atol": TOLERANCE, **(more or {})}
    if "error" in settings:
        settings |= {"rtol": None, "atol": None}
    return Case(name, "model", cfg, inputs={"x": shape} if shape else {}, **settings)


def draw_options(rng, cfg, stages=None):
    """Sets options that all networks have; `stages` is the number of stages where that is no option."""
    count = stages
    if count is None and rng.random() < 0.7:
        count = cfg["num_stages"] = rng.choice([1, 1, 2, 2, 3, 4])
    count = count or 4
    if count != 4 or rng.random() < 0.4:
        cfg["strides"] = [rng.choice([1, 2, 2, 3]) for _ in range(count)]
        cfg["dilations"] = [rng.choice([1, 1, 2]) for _ in range(count)]
    if count != 4 or rng.random() < 0.5:
        cfg["out_indices"] = sorted(rng.sample(range(count), rng.randint(1, count)))
    maybe(rng, cfg, "frozen_stages", [-1, 0, 1, count])
    maybe(rng, cfg, "norm_eval", [True, False])
    maybe(rng, cfg, "norm_cfg", NORMS)
    maybe(rng, cfg, "conv_cfg", CONVS, 0.3)
    maybe(rng, cfg, "style", ["pytorch", "caffe"])
    maybe(rng, cfg, "avg_down", [True, False])
    maybe(rng, cfg, "zero_init_residual", [True, False])
    maybe(rng, cfg, "with_cp", [False], 0.2)
    maybe(rng, cfg, "init_cfg", RULES, 0.3)


def random_case(rng, cfg):
    """A random case of a network."""
    return Case(
        "",
        "model",
        cfg,
        inputs={"x": (rng.choice([1, 2, 3]), cfg.get("in_channels", 3), rng.choice([32, 40, 64]), rng.choice([33, 48]))},
        seed=rng.randrange(10**6),
        digest=True,
        largest=LARGEST,
        rtol=TOLERANCE,
        atol=TOLERANCE,
        init_weights=rng.random() < 0.5,
        train=rng.random() < 0.5,
        backward=rng.random() < 0.6,
        forward_seed=rng.randrange(100),
    )
