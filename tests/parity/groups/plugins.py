"""Random plugins: NonLocal, ContextBlock and GeneralizedAttention with every option."""

from case import Case
from groups.conv_module import norm_config
from groups.options import maybe

MODES = ["gaussian", "embedded_gaussian", "dot_product", "concatenation"]


def fixed():
    """Beside those of `bricks`."""
    base = {"type": "GeneralizedAttention", "in_channels": 4, "num_heads": 2}
    yield Case("attention_magnitude", "plugin", base | {"position_magnitude": 0.5}, inputs={"x": (2, 4, 4, 3)}, given=True)
    yield Case("attention_embedding", "plugin", base | {"position_embedding_dim": 4}, inputs={"x": (1, 4, 5, 5)}, given=True)
    context = {"type": "ContextBlock", "in_channels": 4, "ratio": 0.5, "pooling_type": "avg"}
    yield Case("error_context_rank", "plugin", context, inputs={"x": (4, 3, 3)}, error=[])
    yield Case("non_local_one_pixel", "plugin", {"type": "NonLocal2d", "in_channels": 4}, inputs={"x": (1, 4, 1, 1)}, given=True)


def draw(rng):
    common = {
        "seed": rng.randrange(10**6),
        "given": rng.random() < 0.5,
        "train": rng.random() < 0.6,
        "init_weights": rng.random() < 0.2,
    }
    kind = rng.choice([non_local, context, attention])
    if kind is context:
        common["init_weights"] = False  # it has none
    return kind(rng, common)


def build(rng, cfg, shape, backward=True, **common):
    """By the plugin builder, with some of the arguments beside the config; or by type where it has no other way."""
    if cfg["type"] in {"NonLocal1d", "NonLocal3d"} or rng.random() < 0.3:
        return Case("", "model", cfg, inputs={"x": shape}, backward=backward, **common)
    kwargs = {key: cfg.pop(key) for key in list(cfg) if key != "type" and rng.random() < 0.3}
    maybe(rng, kwargs, "postfix", [1, "_a", 0], 0.3)
    return Case("", "plugin", cfg, kwargs, inputs={"x": shape}, backward=backward, **common)


def image(rng, channels, dimensions=2, sizes=(1, 2, 3, 4, 5)):
    samples = [rng.choice([1, 1, 2, 2, 3, 0])] if rng.random() < 0.95 else []
    return (*samples, channels, *(rng.choice(sizes) for _ in range(dimensions)))


def non_local(rng, common):
    dimensions = rng.choice([1, 2, 2, 3])
    channels = rng.choice([1, 2, 3, 4, 6])
    cfg = {"type": f"NonLocal{dimensions}d", "in_channels": channels}
    maybe(rng, cfg, "mode", MODES, 0.85)
    maybe(rng, cfg, "sub_sample", [True, False], 0.5)
    maybe(rng, cfg, "zeros_init", [True, False], 0.7)
    maybe(rng, cfg, "use_scale", [True, False], 0.5)
    maybe(rng, cfg, "std", [0.3, 1, 0.0], 0.5)
    maybe(rng, cfg, "reduction", [1, 2, 3, 8])
    maybe(rng, cfg, "conv_cfg", [{"type": f"Conv{dimensions}d"}, {"type": f"Conv{dimensions}d", "padding_mode": "zeros"}], 0.2)
    if dimensions == 2 and cfg.get("mode") != "gaussian":
        maybe(rng, cfg, "conv_cfg", [None, {"type": "ConvWS"}, {"type": "ConvAWS"}], 0.2)
    if rng.random() < 0.5:
        cfg["norm_cfg"] = norm_config(rng, dimensions)
    if cfg.get("mode") == "gaussian" and rng.random() < 0.9:
        cfg["reduction"] = 1
    if cfg.get("sub_sample"):
        common["init_weights"] = False  # the reference does not find the convolutions then
    shape = image(rng, channels, dimensions)
    return build(rng, cfg, shape, backward=cfg.get("mode") != "concatenation", **common)


def context(rng, common):
    channels = rng.choice([1, 2, 4, 8])
    cfg = {"type": "ContextBlock", "in_channels": channels, "ratio": rng.choice([1, 1.0, 0.5, 0.25, 2.0, 1 / 3])}
    maybe(rng, cfg, "pooling_type", ["att", "avg"], 0.7)
    fusions = [["channel_add"], ["channel_mul"], ["channel_add", "channel_mul"], ["channel_mul", "channel_add"]]
    maybe(rng, cfg, "fusion_types", fusions, 0.8)
    return build(rng, cfg, image(rng, channels), **common)


def attention(rng, common):
    channels = rng.choice([2, 4, 6, 8, 9])
    cfg = {"type": "GeneralizedAttention", "in_channels": channels}
    maybe(rng, cfg, "num_heads", [1, 2, 3, 4], 0.95)
    maybe(rng, cfg, "attention_type", [format(bits, "04b") for bits in range(16)], 0.9)
    maybe(rng, cfg, "position_embedding_dim", [-1, 4, 6, 8, 5, 2], 0.4)
    maybe(rng, cfg, "position_magnitude", [1, 2, 3, -1, 0.5], 0.4)
    maybe(rng, cfg, "kv_stride", [1, 2, 3], 0.6)
    maybe(rng, cfg, "q_stride", [1, 2, 3], 0.4)
    maybe(rng, cfg, "spatial_range", [-1, 2], 0.05)
    shape = image(rng, channels, sizes=(1, 2, 3, 4, 5, 6))
    if rng.random() < 0.6:
        shape = (*shape[:-1], shape[-2])
    return build(rng, cfg, shape, **common)
