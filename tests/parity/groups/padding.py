"""`build_padding_layer`: zero, reflect, replicate; integers and lists (left, right, top, bottom)."""

from functools import partial

import torch

from case import Case

make = partial(Case, builder="padding", inputs={"x": (2, 3, 4, 5)})
KINDS = ["zero", "reflect", "replicate"]


def fixed():
    for kind in KINDS:
        yield make(f"{kind}_integer", cfg={"type": kind}, kwargs={"padding": 2})
        yield make(f"{kind}_list", cfg={"type": kind}, kwargs={"padding": [1, 2, 3, 0]}, train=False)
        yield make(f"{kind}_in_cfg", cfg={"type": kind, "padding": [0, 1, 1, 2]}, dtype=torch.float64)
        yield make(f"{kind}_nothing", cfg={"type": kind}, kwargs={"padding": 0})
        yield make(f"{kind}_one_picture", cfg={"type": kind}, kwargs={"padding": 1}, inputs={"x": (3, 4, 5)})
    yield make("zero_negative", cfg={"type": "zero"}, kwargs={"padding": [-1, 1, 0, -2]})
    yield make("reflect_negative", cfg={"type": "reflect"}, kwargs={"padding": [-1, 1, 0, 2]})
    yield make("replicate_negative", cfg={"type": "replicate"}, kwargs={"padding": [2, -1, -1, 2]})
    yield make("zero_list_of_two", cfg={"type": "zero"}, kwargs={"padding": [1, 2]})
    yield make("zero_vector", cfg={"type": "zero"}, kwargs={"padding": [1, 2]}, inputs={"x": (4,)})
    for kind in ["reflect", "replicate"]:
        yield make(f"{kind}_list_of_two", cfg={"type": kind}, kwargs={"padding": [1, 2]}, inputs={"x": (2, 3, 4)})
    yield make("zero_empty", cfg={"type": "zero"}, kwargs={"padding": 1}, inputs={"x": (0, 3, 4, 5)})
    yield make("reflect_empty", cfg={"type": "reflect"}, kwargs={"padding": 1}, inputs={"x": (0, 3, 4, 5)})
    yield make("replicate_empty", cfg={"type": "replicate"}, kwargs={"padding": 1}, inputs={"x": (0, 3, 4, 5)})
    yield make("build_only", cfg={"type": "reflect"}, kwargs={"padding": 9}, inputs={})
    yield from refused()


def refused():
    yield make("error_none", cfg=None, kwargs={"padding": 1}, inputs={}, error=[])
    yield make("error_no_type", cfg={"padding": 1}, inputs={}, error=["type"])
    yield make("error_unknown_type", cfg={"type": "mirror"}, kwargs={"padding": 1}, inputs={}, error=["mirror"])
    yield make("error_unknown_key", cfg={"type": "zero", "pad": 1}, kwargs={"padding": 1}, inputs={}, error=["pad"])
    yield make(
        "error_value_for_zero", cfg={"type": "zero", "value": 1.0}, kwargs={"padding": 1}, inputs={}, error=["value"]
    )
    yield make("error_no_padding", cfg={"type": "zero"}, inputs={}, error=["padding"])
    yield make("error_twice", cfg={"type": "zero", "padding": 1}, kwargs={"padding": 1}, inputs={}, error=["padding"])
    yield make("error_reflect_too_wide", cfg={"type": "reflect"}, kwargs={"padding": 5}, error=[])
    yield make("error_reflect_list_of_two", cfg={"type": "reflect"}, kwargs={"padding": [1, 1]}, error=[])
    yield make("error_replicate_list_of_two", cfg={"type": "replicate"}, kwargs={"padding": [1, 1]}, error=[])
    yield make("error_replicate_rank", cfg={"type": "replicate"}, kwargs={"padding": 1}, inputs={"x": (4, 5)}, error=[])
    yield make(
        "error_reflect_rank", cfg={"type": "reflect"}, kwargs={"padding": 1}, inputs={"x": (1, 1, 3, 4, 5)}, error=[]
    )
    yield make("error_zero_to_nothing", cfg={"type": "zero"}, kwargs={"padding": -3}, error=[])


def draw(rng):
    amounts = [0, 1, 2, 3] if rng.random() < 0.8 else [-2, -1, 0, 1, 2]
    padding = rng.choice(amounts) if rng.random() < 0.4 else [rng.choice(amounts) for _ in range(4)]
    cfg, kwargs = {"type": rng.choice(KINDS)}, {}
    (cfg if rng.random() < 0.3 else kwargs)["padding"] = padding
    shape = (rng.choice([0, 1, 2]), rng.randint(1, 3), rng.randint(3, 6), rng.randint(3, 6))
    return Case(
        "",
        "padding",
        cfg,
        kwargs,
        inputs={"x": shape if rng.random() < 0.8 or shape[0] == 0 else shape[1:]},
        train=rng.random() < 0.5,
        dtype=rng.choice([torch.float32, torch.float64]),
        backward=rng.random() < 0.8,
    )
