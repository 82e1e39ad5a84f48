"""The pieces of mmpretrain's classifier: its necks and heads, and `ImageClassifier` around them."""

from case import Case
from groups.options import maybe

NARROW = {"type": "MobileNetV2", "widen_factor": 0.1}
NECK = {"type": "GlobalAveragePooling"}
GEM = {"type": "GeneralizedMeanPooling"}
CSRA = {"type": "CSRAClsHead", "num_classes": 3, "in_channels": 6, "num_heads": 2, "lam": 0.1}


def head(classes=5, channels=1280, **more):
    return {"type": "LinearClsHead", "num_classes": classes, "in_channels": channels, **more}


def make(name, cfg, shape=None, **more):
    return Case(name, "model", cfg, inputs={"x": shape} if shape else {}, **more)


def classifier(**more):
    return {"type": "ImageClassifier", "backbone": NARROW, "neck": NECK, "head": head(), **more}


def fixed():
    yield make("gap", NECK, (2, 4, 3, 5))
    yield make("gap_1d", {**NECK, "dim": 1}, (2, 4, 3))
    yield make("gap_3d", {**NECK, "dim": 3}, (2, 4, 2, 3, 2), train=False)
    yield make("gap_init", NECK, (1, 4, 1, 1), init_weights=True)
    yield make("gem", GEM, (2, 4, 3, 5))
    yield make("gem_fixed", {**GEM, "p": 1.5, "clamp": True, "eps": 0.1, "p_trainable": False}, (2, 4, 1, 3), train=False)
    yield make("error_gem_p", {**GEM, "p": 0.5}, error=["p", "0.5"])
    yield make("multi_label_head_init", {**head(3, 6), "type": "MultiLabelLinearClsHead"}, init_weights=True, seed=4)
    yield make("multi_label_plain_head", {"type": "MultiLabelClsHead", "thr": 0.3}, init_weights=True)
    yield make("csra_head_init", CSRA, (2, 6, 3, 4), init_weights=True, seed=4)
    for heads in [1, 4, 6, 8]:
        yield make(f"csra_{heads}_heads", {**CSRA, "num_heads": heads, "lam": 0.4}, (1, 6, 2, 3), given=True, train=False)
    yield make("error_csra_heads", {**CSRA, "num_heads": 3}, error=["num_heads", "3"])
    yield make("error_csra_lam", {**CSRA, "lam": 0.0}, error=["lam"])
    yield make("head", head(3, 6), seed=4)
    yield make("head_init", head(3, 6), init_weights=True, seed=4)
    seesaw = {"type": "SeesawLoss", "num_classes": 3}
    yield make("head_seesaw", head(3, 6, loss=seesaw), seed=5)
    yield make(
        "head_init_cfg",
        head(3, 6, init_cfg={"type": "Constant", "layer": "Linear", "val": 0.5, "bias": 1.0}),
        init_weights=True,
    )
    yield make(
        "classifier_init",
        classifier(),
        (1, 3, 17, 24),
        train=False,
        digest=True,
        largest=24,
        rtol=1e-4,
        atol=1e-4,
        init_weights=True,
        seed=6,
    )
    yield make(
        "classifier_train", classifier(), (2, 3, 33, 33), digest=True, largest=24, rtol=1e-4, atol=1e-4, backward=False
    )
    yield make("error_gap_empty", NECK, (0, 4, 3, 5), error=[])
    yield make("error_gap_dim", {**NECK, "dim": 4}, error=["4"])
    yield make("error_head_classes", head(0), error=["num_classes"])
    yield make("error_head_missing", {"type": "LinearClsHead", "num_classes": 3}, error=["in_channels"])
    yield make("error_backbone_type", classifier(backbone={"type": "MobileNetV9"}), error=["MobileNetV9"])


def draw_whole(rng):
    """A narrow network with neck and head; the widths of some do not fit."""
    few = {"base_channels": 8, "stem_channels": 8, "num_stages": 2, "strides": [1, 2], "dilations": [1, 1]}
    few["out_indices"] = rng.choice([[1], [0, 1]])
    arch = {"w0": 8, "wa": 8.0, "wm": 2.0, "group_w": 8, "depth": 6, "bot_mul": 1.0}
    backbone, channels = rng.choice(
        [
            ({"type": "ResNet", "depth": 18, **few}, 16),
            ({"type": "ResNet", "depth": 50, "style": "caffe", "norm_eval": True, "frozen_stages": 1, **few}, 64),
            ({"type": rng.choice(["ResNetV1c", "ResNetV1d"]), "depth": 18, **few}, 16),
            ({"type": "ResNeXt", "depth": 50, "groups": 2, "width_per_group": 4, **few}, 64),
            ({"type": "Res2Net", "depth": 50, "base_width": 4, **few}, 64),
            ({"type": "RegNet", "arch": arch}, 64),
            ({**NARROW, "out_indices": rng.choice([[7], [3, 7]])}, 1280),
            ({"type": "VGG", "depth": 11, "num_stages": 2, "dilations": [1, 1], "out_indices": [1]}, 128),
        ]
    )
    cfg = {"type": "ImageClassifier", "backbone": backbone}
    maybe(rng, cfg, "neck", [NECK, [NECK], GEM, {**NECK, "dim": 2}, None], 0.9)
    layer = head(rng.randint(0, 6), channels + rng.choice([0, 0, 0, 0, 1]))
    losses = ["CrossEntropyLoss", "FocalLoss", "AsymmetricLoss", "SeesawLoss"]
    maybe(rng, layer, "loss", [{"type": name} for name in losses], 0.3)
    maybe(rng, layer, "topk", [1, 3], 0.3)
    cfg["head"] = rng.choice([layer, layer, {**layer, "type": "MultiLabelLinearClsHead"}, {"type": "ClsHead"}, None])
    maybe(rng, cfg, "init_cfg", [{"type": "Kaiming", "layer": "Conv2d"}, {"type": "Xavier", "layer": "Linear"}], 0.2)
    maybe(rng, cfg, "train_cfg", [{"augments": {"type": "Mixup", "alpha": 0.2}}], 0.2)
    maybe(rng, cfg, "data_preprocessor", [{"mean": [1, 2, 3], "std": [1, 1, 1]}], 0.2)
    settings = {"digest": True, "largest": 24, "rtol": 1e-4, "atol": 1e-4, "backward": rng.random() < 0.4}
    shape = (rng.choice([1, 2]), 3, 32, rng.choice([32, 48]))
    return make("", cfg, shape, seed=rng.randrange(10**6), train=rng.random() < 0.5, init_weights=rng.random() < 0.5, **settings)


def draw(rng):
    if rng.random() < 0.5:
        return draw_whole(rng)
    if rng.random() < 0.5:
        cfg, dimensions = dict(rng.choice([NECK, GEM])), 2
        if cfg["type"] == GEM["type"]:
            maybe(rng, cfg, "p", [1.0, 2.0, 4.5])
            maybe(rng, cfg, "eps", [1e-3, 0.1])
            maybe(rng, cfg, "p_trainable", [True, False])
        elif rng.random() < 0.7:
            dimensions = cfg["dim"] = rng.choice([1, 2, 3])
        shape = (rng.choice([1, 2, 3]), rng.randint(1, 5), *(rng.randint(1, 5) for _ in range(dimensions)))
    else:
        channels = rng.randint(1, 20)
        # Built only: the reference's head takes a tuple of tensors, which a case cannot hold.
        cfg, shape = head(rng.randint(1, 10), channels), None
        maybe(rng, cfg, "type", ["MultiLabelLinearClsHead"])
        maybe(rng, cfg, "init_cfg", [None, {"type": "Normal", "layer": "Linear", "std": 0.2, "bias": 0.5}], 0.4)
    return Case(
        "",
        "model",
        cfg,
        inputs={"x": shape} if shape else {},
        seed=rng.randrange(10**6),
        train=rng.random() < 0.5,
        init_weights=rng.random() < 0.5 and cfg["type"] != GEM["type"],
        backward=rng.random() < 0.8,
    )
