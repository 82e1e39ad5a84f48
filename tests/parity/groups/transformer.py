"""Transformer bricks: attention, feed-forward networks, layers of both, patches."""

from functools import partial

from case import Case
from groups.transformer_sweep import draw  # noqa: F401

model = partial(Case, builder="model")
ATTENTION = {"type": "MultiheadAttention", "embed_dims": 6, "num_heads": 3}
SELF = {"query": (4, 2, 6)}
CROSS = SELF | {"key": (5, 2, 6), "value": (5, 2, 6)}
FEED_FORWARD = {"type": "FFN", "embed_dims": 6, "feedforward_channels": 8}
LAYER = {"type": "BaseTransformerLayer", "attn_cfgs": ATTENTION, "ffn_cfgs": FEED_FORWARD}
ENCODER = ["self_attn", "norm", "ffn", "norm"]
DECODER = ["norm", "self_attn", "norm", "cross_attn", "norm", "ffn"]


def fixed():
    yield from attentions()
    yield from networks()
    yield from patches()
    yield from refused()


def attentions():
    yield model("attention_self", cfg=ATTENTION, inputs=SELF, seed=1)
    yield model("attention_cross", cfg=ATTENTION, inputs=CROSS, train=False, seed=2)
    positions = CROSS | {"identity": (4, 2, 6), "query_pos": (4, 2, 6), "key_pos": (5, 2, 6), "attn_mask": (4, 5)}
    yield model("attention_positions_and_mask", cfg=ATTENTION, inputs=positions, given=True)
    first = {name: (shape[1], shape[0], shape[2]) for name, shape in CROSS.items()}
    yield model("attention_batch_first", cfg=ATTENTION | {"batch_first": True}, inputs=first)
    options = {"bias": False, "add_bias_kv": True, "add_zero_attn": True}
    yield model("attention_added_keys", cfg=ATTENTION | options, inputs=CROSS, seed=3)
    sizes = CROSS | {"key": (5, 2, 4), "value": (5, 2, 3)}
    yield model("attention_sizes", cfg=ATTENTION | {"kdim": 4, "vdim": 3}, inputs=sizes, seed=4)
    drops = {"attn_drop": 0.2, "proj_drop": 0.3, "dropout_layer": {"type": "DropPath", "drop_prob": 0.4}}
    yield model("attention_dropped", cfg=ATTENTION | drops, inputs=SELF, forward_seed=5)
    yield model("attention_no_dropout_layer", cfg=ATTENTION | {"dropout_layer": None}, inputs=SELF)
    unbatched = {name: (shape[0], shape[2]) for name, shape in CROSS.items()}
    yield model("attention_unbatched", cfg=ATTENTION, inputs=unbatched)
    empty = {name: (shape[0], 0, shape[2]) for name, shape in CROSS.items()}
    yield model("attention_empty", cfg=ATTENTION, inputs=empty)
    masks = positions | {"attn_mask": (6, 4, 5), "key_padding_mask": (2, 5)}
    names = ("attn_mask", "key_padding_mask")
    yield model("attention_added_keys_and_masks", cfg=ATTENTION | options, inputs=masks, given=True)
    yield model("attention_bool_masks", cfg=ATTENTION, inputs=masks, masks=names, given=True)
    rule = {"type": "Normal", "layer": "Linear", "std": 0.1, "bias": 0.2}
    yield model("attention_init", cfg=ATTENTION | {"init_cfg": rule}, inputs=SELF, init_weights=True)


def networks():
    yield model("ffn", cfg=FEED_FORWARD, inputs={"x": (2, 3, 6)})
    options = {"num_fcs": 3, "act_cfg": {"type": "GELU"}, "ffn_drop": 0.2, "layer_scale_init_value": 0.5}
    drop = {"dropout_layer": {"type": "Dropout", "drop_prob": 0.3}}
    yield model("ffn_all", cfg=FEED_FORWARD | options | drop, inputs={"x": (2, 3, 6)}, forward_seed=6)
    yield model("ffn_no_identity", cfg=FEED_FORWARD | {"add_identity": False}, inputs={"x": (2, 3, 6)}, given=True)
    yield model("ffn_identity", cfg=FEED_FORWARD, inputs={"x": (2, 3, 6), "identity": (2, 3, 6)})
    yield model("encoder_layer", cfg=LAYER | {"operation_order": ENCODER}, inputs=SELF, seed=7)
    positions = CROSS | {"query_pos": (4, 2, 6), "key_pos": (5, 2, 6)}
    yield model("decoder_layer", cfg=LAYER | {"operation_order": DECODER}, inputs=positions, seed=8)
    each = {"attn_cfgs": [ATTENTION, ATTENTION | {"num_heads": 2}], "operation_order": DECODER}
    yield model("decoder_layer_lists", cfg=LAYER | each, inputs=CROSS, train=False)
    layers = {"type": "TransformerLayerSequence", "num_layers": 2, "transformerlayers": LAYER | {"operation_order": DECODER}}
    yield model("sequence", cfg=layers, inputs=CROSS, seed=9)
    rule = {"type": "Xavier", "layer": "Linear", "distribution": "uniform"}
    yield model("sequence_init", cfg=layers | {"init_cfg": rule}, inputs=CROSS, init_weights=True, seed=10)


def patches():
    picture = {"x": (2, 3, 7, 9)}
    for padding in ["corner", "same"]:
        cfg = {"type": "AdaptivePadding", "kernel_size": [4, 3], "stride": 2, "dilation": 2, "padding": padding}
        yield model(f"padding_{padding}", cfg=cfg, inputs=picture)
    embed = {"type": "PatchEmbed", "in_channels": 3, "embed_dims": 6, "kernel_size": 4, "stride": 3}
    yield model("embed", cfg=embed, inputs=picture)
    options = {"padding": [1, 0], "dilation": 2, "kernel_size": 2, "stride": None, "bias": False, "norm_cfg": {"type": "LN"}}
    yield model("embed_all", cfg=embed | options, inputs=picture, given=True)
    merging = {"type": "PatchMerging", "in_channels": 3, "out_channels": 6}
    size = {"forward_kwargs": {"input_size": [4, 5]}, "inputs": {"x": (2, 20, 3)}}
    yield model("merging", cfg=merging, **size)
    yield model("merging_all", cfg=merging | {"kernel_size": 3, "stride": 2, "padding": 1, "bias": True, "norm_cfg": None}, **size)


def refused():
    yield model("error_heads", cfg=ATTENTION | {"num_heads": 4}, error=["num_heads"])
    yield model("error_query_size", cfg=ATTENTION, inputs={"query": (4, 2, 5)}, error=[])
    positions = CROSS | {"identity": (4, 2, 6), "query_pos": (4, 2, 6), "key_pos": (5, 2, 6)}
    yield model("error_mask_shape", cfg=ATTENTION, inputs=positions | {"attn_mask": (4, 1)}, error=["attn_mask"])
    yield model("error_padding_mask_shape", cfg=ATTENTION, inputs=positions | {"attn_mask": (4, 5), "key_padding_mask": (2, 4)}, error=[])
    yield model("error_values", cfg=ATTENTION, inputs=CROSS | {"value": (4, 2, 6)}, error=[])
    yield model("error_embed_unbatched", cfg={"type": "PatchEmbed", "in_channels": 3, "embed_dims": 6}, inputs={"x": (3, 16, 16)}, error=[])
    yield model("error_one_fc", cfg=FEED_FORWARD | {"num_fcs": 1}, error=["num_fcs"])
    yield model("error_operation", cfg=LAYER | {"operation_order": ["self_attention", "norm"]}, error=[])
    each = {"attn_cfgs": [ATTENTION], "operation_order": DECODER}
    yield model("error_number_of_attentions", cfg=LAYER | each, error=[])
    yield model("error_ffn_size", cfg=LAYER | {"ffn_cfgs": FEED_FORWARD | {"embed_dims": 8}, "operation_order": ENCODER}, error=[])
    yield model("error_padding_word", cfg={"type": "AdaptivePadding", "padding": "middle"}, error=[])
    size = {"forward_kwargs": {"input_size": [4, 4]}, "inputs": {"x": (2, 20, 3)}}
    yield model("error_merging_size", cfg={"type": "PatchMerging", "in_channels": 3, "out_channels": 6}, error=[], **size)
