"""The layer table: (class of torch.nn, constructor arguments, options, inputs), which test_layers.py runs.

Arrays of floats stand for tensors of the dtype under test, arrays of integers and booleans for tensors of theirs; arrays
among the options too. Random layers have arguments that leave nothing to chance.
"""

import numpy as np


def floats(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def ints(high, *shape):
    return np.random.default_rng(0).integers(0, high, shape)


def probabilities(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0.05, 0.95, shape)


def signs(*shape):
    return np.where(floats(*shape, seed=7) > 0, 1.0, -1.0)


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


X3, X4, X5 = floats(2, 4, 9), floats(2, 4, 9, 8), floats(2, 4, 5, 6, 7)
SEQ = floats(5, 3, 6)
MASK = np.triu(np.ones((5, 5), dtype=bool), 1)
PADDING = np.zeros((3, 5), dtype=bool)
PADDING[1, 3:] = True
BAGS = np.array([1, 2, 4, 5, 4, 3, 2, 9])
PAIR = (floats(3, 4), floats(3, 4, seed=1))
TRIPLET = (*PAIR, floats(3, 4, seed=2))
REDUCTIONS = ("mean", "sum", "none")
LOG_PROBS = np.log(softmax(floats(12, 4, 6)))  # (T, N, C)
LABELS = np.random.default_rng(3).integers(1, 6, (4, 5))
CTC = (LOG_PROBS, LABELS, np.array([12, 10, 11, 12]), np.array([5, 3, 1, 0]))


CASES = [
    ("Linear", (4, 3), {}, (floats(2, 5, 4),)),
    ("Linear", (4, 3), {"bias": False}, (floats(4),)),
    ("Bilinear", (4, 3, 2), {}, (floats(2, 4), floats(2, 3))),
    ("Identity", (1,), {"a": 2}, (X3,)),
    ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1, "groups": 2}, (X3,)),
    ("Conv1d", (4, 6, 4), {"padding": "same", "dilation": 2}, (X3,)),
    ("Conv2d", (4, 6, 3), {}, (X4,)),
    ("Conv2d", (4, 6, (3, 2)), {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "bias": False}, (X4,)),
    ("Conv2d", (4, 8, 3), {"groups": 4, "padding": "valid"}, (X4,)),
    ("Conv2d", (4, 6, 4), {"padding": "same"}, (X4[0],)),
    ("Conv2d", (4, 6, 3), {"padding": 2, "padding_mode": "reflect"}, (X4,)),
    ("Conv2d", (4, 6, 3), {"padding": (1, 2), "padding_mode": "circular"}, (X4,)),
    ("Conv2d", (4, 6, 3), {"padding": "same", "padding_mode": "replicate"}, (X4,)),
    ("ConvTranspose1d", (4, 6, 3), {"stride": 2}, (X3,)),
    ("ConvTranspose2d", (4, 6, 4, 2, 1), {"bias": False}, (X4,)),
    ("ConvTranspose2d", (4, 6, 3), {"stride": 2, "output_padding": 1, "groups": 2, "dilation": 2}, (X4,)),
    ("MaxPool1d", (3, 2), {"padding": 1}, (X3,)),
    ("MaxPool2d", (3,), {"stride": 2, "padding": 1}, (X4,)),
    ("MaxPool2d", ((2, 3),), {"ceil_mode": True, "dilation": 2}, (X4,)),
    ("AvgPool1d", (3,), {"stride": 2, "padding": 1}, (X3,)),
    ("AvgPool2d", (3,), {"padding": 1, "count_include_pad": False}, (X4,)),
    ("AvgPool2d", (2,), {"ceil_mode": True}, (X4,)),
    ("AdaptiveAvgPool1d", (4,), {}, (X3,)),
    ("AdaptiveAvgPool2d", ((3, None),), {}, (X4,)),
    ("AdaptiveMaxPool1d", (4,), {}, (X3,)),
    ("AdaptiveMaxPool2d", (3,), {}, (X4,)),
    ("BatchNorm1d", (4,), {}, (X3,)),
    ("BatchNorm1d", (4,), {"momentum": None}, (floats(6, 4),)),
    ("BatchNorm2d", (4,), {"eps": 1e-3, "momentum": 0.3}, (X4,)),
    ("BatchNorm2d", (4,), {"affine": False, "track_running_stats": False}, (X4,)),
    ("InstanceNorm1d", (4,), {}, (X3,)),
    ("InstanceNorm2d", (4,), {"affine": True, "track_running_stats": True}, (X4,)),
    ("InstanceNorm2d", (4,), {}, (X4[0],)),
    ("LayerNorm", (9,), {}, (X3,)),
    ("LayerNorm", ((4, 9),), {"bias": False, "eps": 1e-3}, (X3,)),
    ("LayerNorm", (9,), {"elementwise_affine": False}, (X3,)),
    ("GroupNorm", (2, 4), {}, (X4,)),
    ("GroupNorm", (4, 4), {"affine": False}, (X3,)),
    ("RMSNorm", (9,), {}, (X3,)),
    ("RMSNorm", ((4, 9),), {"eps": 1e-2, "elementwise_affine": False}, (X3,)),
    *((name, (), {}, (floats(3, 5) * 3,)) for name in (
        "ReLU", "ReLU6", "LeakyReLU", "ELU", "SELU", "CELU", "GELU", "SiLU", "Mish", "Sigmoid", "LogSigmoid", "Tanh",
        "Tanhshrink", "Softsign", "Softplus", "Hardtanh", "Hardsigmoid", "Hardswish", "Softshrink", "Hardshrink", "PReLU")),
    ("LeakyReLU", (0.3,), {}, (X3,)),
    ("ELU", (), {"alpha": 0.4}, (X3,)),
    ("CELU", (0.4,), {}, (X3,)),
    ("GELU", (), {"approximate": "tanh"}, (X3,)),
    ("Softplus", (2.0, 1.0), {}, (X3,)),
    ("Hardtanh", (-0.5, 0.3), {}, (X3,)),
    ("Threshold", (0.1, 20.0), {}, (X3,)),
    ("PReLU", (4, 0.1), {}, (X4,)),
    ("GLU", (1,), {}, (X3,)),
    ("Softmax", (1,), {}, (X3,)),
    ("Softmin", (1,), {}, (X3,)),
    ("LogSoftmax", (-1,), {}, (X3,)),
    ("Softmax2d", (), {}, (X4,)),
    ("Dropout", (0.0,), {}, (X3,)),
    ("Flatten", (), {}, (X4,)),
    ("Flatten", (0, 1), {}, (X4,)),
    ("Unflatten", (1, (2, 2)), {}, (X4,)),
    ("Embedding", (10, 3), {}, (ints(10, 2, 4),)),
    ("Embedding", (10, 3), {"padding_idx": 2}, (np.array([[2, 1, 2], [0, 9, 2]]),)),
    ("Embedding", (10, 3), {"scale_grad_by_freq": True}, (np.array([[2, 1, 2], [0, 9, 2]]),)),
    ("Embedding", (10, 3), {"max_norm": 1.0}, (ints(10, 2, 4),)),
    ("RNN", (6, 4), {}, (SEQ,)),
    ("RNN", (6, 4, 2, "relu"), {"bidirectional": True}, (SEQ,)),
    ("LSTM", (6, 4), {}, (SEQ,)),
    ("LSTM", (6, 4, 2), {"bidirectional": True, "batch_first": True}, (SEQ,)),
    ("LSTM", (6, 4), {"bias": False}, (floats(5, 6),)),
    ("LSTM", (6, 4, 2), {}, (SEQ, (floats(2, 3, 4), floats(2, 3, 4, seed=1)))),
    ("GRU", (6, 4, 2), {"bidirectional": True}, (SEQ, floats(4, 3, 4))),
    ("GRU", (6, 4), {"bias": False}, (SEQ,)),
    ("RNNCell", (6, 4), {"nonlinearity": "relu"}, (SEQ[0],)),
    ("LSTMCell", (6, 4), {}, (SEQ[0], (floats(3, 4), floats(3, 4, seed=1)))),
    ("LSTMCell", (6, 4), {}, (SEQ[0, 0],)),
    ("GRUCell", (6, 4), {"bias": False}, (SEQ[0], floats(3, 4))),
    ("MultiheadAttention", (6, 2), {}, (SEQ, SEQ, SEQ)),
    ("MultiheadAttention", (6, 2), {"batch_first": True, "bias": False}, (SEQ, floats(5, 4, 6), floats(5, 4, 6, seed=2))),
    ("MultiheadAttention", (6, 2), {"kdim": 4, "vdim": 5}, (SEQ, floats(7, 3, 4), floats(7, 3, 5))),
    ("MultiheadAttention", (6, 3), {"add_bias_kv": True, "add_zero_attn": True}, (SEQ, SEQ, SEQ, PADDING, True, MASK)),
    ("MultiheadAttention", (6, 2), {}, (SEQ, SEQ, SEQ, PADDING, True, floats(6, 5, 5), False)),
    ("MultiheadAttention", (6, 2), {}, (SEQ, SEQ, SEQ, PADDING, False, MASK)),
    ("MultiheadAttention", (6, 2), {}, (SEQ, SEQ, SEQ, None, False, MASK, True, True)),
    ("MultiheadAttention", (6, 2), {}, (SEQ[:, 0], SEQ[:, 0], SEQ[:, 0])),
    ("TransformerEncoderLayer", (6, 2, 8, 0.0), {}, (SEQ,)),
    ("TransformerEncoderLayer", (6, 2, 8, 0.0, "gelu"), {"norm_first": True, "batch_first": True, "bias": False}, (SEQ,)),
    ("TransformerEncoderLayer", (6, 2, 8, 0.0), {}, (SEQ, MASK, PADDING)),
    ("TransformerDecoderLayer", (6, 2, 8, 0.0), {}, (SEQ, floats(4, 3, 6), MASK)),
    ("TransformerDecoderLayer", (6, 2, 8, 0.0), {"norm_first": True}, (SEQ, floats(4, 3, 6))),
    *((f"{kind}Pad{n}d", (2,), {}, (X3 if n == 1 else X4,))
      for kind in ("Zero", "Reflection", "Replication", "Circular") for n in (1, 2)),
    ("ConstantPad2d", ((1, 0, 2, -3), 2.5), {}, (X4,)),
    ("ReflectionPad2d", ((3, 1, 0, 2),), {}, (X4,)),
    ("PixelShuffle", (2,), {}, (X4,)),
    ("PixelUnshuffle", (2,), {}, (floats(2, 3, 4, 6),)),
    ("CosineSimilarity", (), {}, (floats(3, 4), floats(3, 4, seed=1))),
    ("PairwiseDistance", (3.0,), {"keepdim": True}, (floats(3, 4), floats(3, 4, seed=1))),
    *((name, (), {"reduction": how}, (floats(3, 4) * 2, floats(3, 4, seed=1)))
      for name in ("L1Loss", "MSELoss", "SmoothL1Loss", "HuberLoss") for how in ("mean", "sum", "none")),
    ("SmoothL1Loss", (), {"beta": 0.3}, (floats(3, 4), floats(3, 4, seed=1))),
    ("HuberLoss", (), {"delta": 0.3}, (floats(3, 4), floats(3, 4, seed=1))),
    ("MSELoss", (False,), {}, (floats(3, 4), floats(3, 4, seed=1))),
    ("CrossEntropyLoss", (), {}, (floats(5, 4), ints(4, 5))),
    ("CrossEntropyLoss", (), {"label_smoothing": 0.2, "reduction": "sum"}, (floats(2, 4, 3), ints(4, 2, 3))),
    ("CrossEntropyLoss", (), {"ignore_index": 1, "reduction": "none"}, (floats(5, 4), ints(4, 5))),
    ("CrossEntropyLoss", (), {}, (floats(5, 4), softmax(floats(5, 4, seed=1)))),
    ("CrossEntropyLoss", (), {}, (floats(4), np.array(2))),
    ("NLLLoss", (), {}, (floats(5, 4), ints(4, 5))),
    ("BCELoss", (), {}, (probabilities(3, 4), probabilities(3, 4)[::-1].copy())),
    ("BCEWithLogitsLoss", (), {"reduction": "sum"}, (floats(3, 4), probabilities(3, 4))),
    ("KLDivLoss", (), {"reduction": "batchmean"}, (np.log(softmax(floats(3, 4))), softmax(floats(3, 4, seed=1)))),
    ("KLDivLoss", (), {"log_target": True, "reduction": "sum"}, (np.log(softmax(floats(3, 4))), floats(3, 4, seed=1))),
    # --- three dimensions ---
    ("Conv3d", (4, 6, 3), {}, (X5,)),
    ("Conv3d", (4, 6, (3, 2, 3)), {"stride": (2, 1, 2), "padding": (1, 0, 2), "dilation": (1, 2, 1), "groups": 2}, (X5,)),
    ("Conv3d", (4, 6, (2, 3, 2)), {"padding": "same"}, (X5,)),
    ("Conv3d", (4, 6, 3), {"padding": "valid", "bias": False}, (X5[0],)),
    *(("Conv3d", (4, 3, 3), {"padding": (1, 2, 1), "padding_mode": mode}, (X5,))
      for mode in ("reflect", "replicate", "circular")),
    ("Conv1d", (4, 3, 3), {"padding": 2, "padding_mode": "reflect"}, (X3,)),
    ("Conv1d", (4, 3, 3), {"padding": 2, "padding_mode": "circular"}, (X3,)),
    ("ConvTranspose3d", (4, 6, 3), {}, (X5,)),
    ("ConvTranspose3d", (4, 6, (3, 2, 3)), {"stride": (2, 1, 2), "padding": (1, 0, 2), "output_padding": (1, 0, 1),
                                            "groups": 2}, (X5,)),
    ("ConvTranspose3d", (4, 6, 2), {"dilation": 2, "bias": False}, (X5[0],)),
    ("MaxPool3d", (2,), {}, (X5,)),
    ("MaxPool3d", ((3, 2, 3),), {"stride": (2, 1, 2), "padding": (1, 1, 0), "dilation": (1, 2, 1), "ceil_mode": True,
                                 "return_indices": True}, (X5,)),
    ("MaxPool3d", (2,), {"return_indices": True}, (X5[0],)),
    ("AvgPool3d", (2,), {}, (X5,)),
    ("AvgPool3d", ((3, 2, 3),), {"stride": (2, 1, 2), "padding": (1, 1, 0), "ceil_mode": True}, (X5,)),
    ("AvgPool3d", (3, 1, 1), {"count_include_pad": False}, (X5,)),
    ("AvgPool3d", (3, 2, 1), {"divisor_override": 5}, (X5[0],)),
    ("AdaptiveAvgPool3d", (1,), {}, (X5,)),
    ("AdaptiveAvgPool3d", ((2, None, 4),), {}, (X5,)),
    ("AdaptiveMaxPool3d", ((2, 3, None),), {"return_indices": True}, (X5,)),
    ("BatchNorm3d", (4,), {}, (X5,)),
    ("BatchNorm3d", (4,), {"momentum": None, "bias": False}, (X5,)),
    ("InstanceNorm3d", (4,), {"affine": True, "track_running_stats": True}, (X5,)),
    ("InstanceNorm3d", (4,), {}, (X5[0],)),
    ("SyncBatchNorm", (4,), {}, (X4,)),
    ("Dropout3d", (0.0,), {}, (X5,)),
    *((f"{kind}Pad3d", ((1, 2, 0, 1, 3, 1),), {}, (X5,)) for kind in ("Zero", "Reflection", "Replication", "Circular")),
    ("ConstantPad1d", (2, 1.5), {}, (X3,)),
    ("ConstantPad3d", ((1, 0, 2, -1, 1, 1), -1.5), {}, (X5,)),
    # --- pooling ---
    *((f"LPPool{d}d", (p, 2), options, (x,)) for d, x in ((1, X3), (2, X4), (3, X5)) for p, options in (
        (1, {}), (2, {"stride": 1}), (3, {"ceil_mode": True}))),
    ("LPPool2d", (2.0, (3, 2)), {"stride": (2, 1)}, (np.abs(X4),)),
    ("MaxUnpool1d", (2,), {}, (floats(2, 3), np.array([[1, 2, 5], [0, 3, 4]]))),
    ("MaxUnpool1d", (3, 2, 1), {}, (floats(1, 2, 3), np.array([[[0, 2, 4], [1, 2, 3]]]))),
    ("MaxUnpool2d", (2,), {}, (floats(1, 1, 2, 2), np.array([[[[1, 3], [8, 15]]]]))),
    ("MaxUnpool3d", (2,), {}, (floats(1, 1, 1, 2, 1), np.array([[[[[3], [14]]]]]))),
    ("FractionalMaxPool2d", (2,), {"output_size": (4, 5), "return_indices": True, "_random_samples": probabilities(2, 4, 2)},
     (X4,)),
    ("FractionalMaxPool2d", ((3, 2),), {"output_ratio": (0.5, 0.7), "_random_samples": probabilities(1, 4, 2)}, (X4[0],)),
    ("FractionalMaxPool3d", (2,), {"output_size": (3, 4, 5), "_random_samples": probabilities(2, 4, 3)}, (X5,)),
    # --- folds, resampling, shuffles ---
    ("Fold", ((6, 7), (3, 2)), {"padding": 1, "stride": 2}, (floats(2, 3 * 6, 3 * 4),)),
    ("Fold", ((5, 5), 2), {"dilation": 2}, (floats(3 * 4, 9),)),
    ("Unfold", ((3, 2),), {"padding": 1, "stride": 2}, (X4,)),
    ("Unfold", (2,), {"dilation": (2, 1)}, (X4[0],)),
    ("Upsample", (11,), {}, (X3,)),
    ("Upsample", (), {"scale_factor": 2}, (X4,)),
    ("Upsample", (), {"scale_factor": (1.7, 0.6), "mode": "bilinear"}, (X4,)),
    ("Upsample", (), {"scale_factor": 1.7, "mode": "bicubic", "align_corners": True}, (X4,)),
    ("Upsample", ((11, 4),), {"mode": "bicubic"}, (X4,)),
    ("Upsample", ((3, 8, 9),), {"mode": "trilinear", "align_corners": True}, (X5,)),
    ("Upsample", (), {"scale_factor": 1.3, "mode": "linear", "recompute_scale_factor": True}, (X3,)),
    ("UpsamplingNearest2d", (), {"scale_factor": 2}, (X4,)),
    ("UpsamplingBilinear2d", ((11, 5),), {}, (X4,)),
    ("ChannelShuffle", (2,), {}, (X4,)),
    # --- normalization, activation, dropout ---
    ("LocalResponseNorm", (3,), {"alpha": 0.5}, (X4,)),
    ("LocalResponseNorm", (2,), {"beta": 0.5, "k": 2.0}, (X3,)),
    ("RReLU", (0.25, 0.25), {}, (X3,)),
    ("Hardtanh", (), {"inplace": False}, (X3,)),
    ("Dropout1d", (0.0,), {}, (X3,)),
    ("Dropout2d", (0.0,), {}, (X4,)),
    ("AlphaDropout", (0.0,), {}, (X3,)),
    ("FeatureAlphaDropout", (0.0,), {}, (X3,)),
    # --- tables ---
    *(("EmbeddingBag", (10, 3), {"mode": mode}, (BAGS, np.array(offsets)))
      for mode in ("sum", "mean", "max") for offsets in ([0, 4], [0, 0, 3, 8])),
    ("EmbeddingBag", (10, 3), {"mode": "max"}, (BAGS.reshape(2, 4),)),
    ("EmbeddingBag", (10, 3), {"mode": "mean", "padding_idx": 4, "include_last_offset": True}, (BAGS, np.array([0, 3, 8]))),
    ("EmbeddingBag", (10, 3), {"mode": "sum"}, (BAGS, np.array([0, 3]), floats(8))),
    ("EmbeddingBag", (10, 3), {"mode": "sum", "max_norm": 0.5, "norm_type": 1.0}, (BAGS.reshape(2, 4),)),
    # --- sequences ---
    ("LSTM", (6, 4), {"proj_size": 3}, (SEQ,)),
    ("LSTM", (6, 4, 2), {"proj_size": 2, "bidirectional": True, "bias": False},
     (SEQ, (floats(4, 3, 2), floats(4, 3, 4, seed=1)))),
    ("LSTM", (6, 4, 2), {"proj_size": 3, "batch_first": True}, (SEQ,)),
    ("RNN", (6, 4, 3), {"bidirectional": True, "batch_first": True}, (SEQ, floats(6, 5, 4))),
    ("GRU", (6, 4, 2), {"batch_first": True}, (SEQ[0],)),
    ("Transformer", (6, 2, 2, 1, 8, 0.0), {}, (SEQ, floats(4, 3, 6))),
    ("Transformer", (6, 2, 1, 1, 8, 0.0, "gelu"), {"batch_first": True, "norm_first": True, "bias": False},
     (SEQ, floats(5, 4, 6))),
    # --- losses ---
    *((name, (), {"reduction": how}, inputs) for how in REDUCTIONS for name, inputs in (
        ("MarginRankingLoss", (*PAIR, signs(3, 4))),
        ("HingeEmbeddingLoss", (floats(3, 4), signs(3, 4))),
        ("SoftMarginLoss", (floats(3, 4), signs(3, 4))),
        ("CosineEmbeddingLoss", (*PAIR, signs(3))),
        ("MultiMarginLoss", (floats(3, 4), ints(4, 3))),
        ("MultiLabelMarginLoss", (floats(3, 4), np.array([[0, 1, -1, 2], [3, -1, 1, 1], [-1, 0, 0, 0]]))),
        ("MultiLabelSoftMarginLoss", (floats(3, 4), probabilities(3, 4))),
        ("TripletMarginLoss", TRIPLET),
        ("TripletMarginWithDistanceLoss", TRIPLET),
        ("PoissonNLLLoss", (floats(3, 4), np.abs(floats(3, 4, seed=1)) * 3)),
        ("GaussianNLLLoss", (*PAIR, np.abs(floats(3, 4, seed=2)))),
        ("CTCLoss", CTC),
        ("NLLLoss2d", (floats(2, 4, 3, 3), ints(4, 2, 3, 3))))),
    ("MarginRankingLoss", (0.5,), {}, (*PAIR, signs(3, 4))),
    ("HingeEmbeddingLoss", (0.5,), {}, (floats(3, 4), signs(3, 4))),
    ("CosineEmbeddingLoss", (0.2,), {}, (floats(4), floats(4, seed=1), np.array(1.0))),
    ("MultiMarginLoss", (2, 0.7), {"weight": probabilities(4)}, (floats(3, 4), ints(4, 3))),
    ("MultiMarginLoss", (), {}, (floats(4), np.array(2))),
    ("MultiLabelMarginLoss", (), {}, (floats(4), np.array([3, 0, -1, 1]))),
    ("MultiLabelSoftMarginLoss", (probabilities(4),), {}, (floats(3, 4), probabilities(3, 4))),
    ("TripletMarginLoss", (0.5, 1.0), {"swap": True}, TRIPLET),
    ("TripletMarginLoss", (), {"p": 3.0}, TRIPLET),
    ("TripletMarginWithDistanceLoss", (), {"swap": True, "margin": 0.3}, TRIPLET),
    ("PoissonNLLLoss", (False, True), {}, (probabilities(3, 4), np.abs(floats(3, 4)) * 3)),
    ("GaussianNLLLoss", (), {"full": True}, (*PAIR, np.abs(floats(3, 1)))),
    ("GaussianNLLLoss", (), {"eps": 0.5}, (*PAIR, np.abs(floats(3)))),
    ("CTCLoss", (), {}, (LOG_PROBS, np.concatenate([LABELS[i, :n] for i, n in enumerate((5, 3, 1, 0))]), *CTC[2:])),
    ("CTCLoss", (), {"zero_infinity": True}, (LOG_PROBS, LABELS, np.array([3, 10, 11, 12]), CTC[3])),
    ("CTCLoss", (5,), {"reduction": "sum"}, (LOG_PROBS, LABELS - 1, CTC[2], CTC[3])),
    ("CTCLoss", (), {}, (LOG_PROBS[:, 0], LABELS[0], np.array(12), np.array(5))),
    ("CrossEntropyLoss", (probabilities(4),), {"label_smoothing": 0.1}, (floats(5, 4), ints(4, 5))),
    ("NLLLoss", (probabilities(4),), {"reduction": "sum"}, (floats(5, 4), ints(4, 5))),
    ("BCEWithLogitsLoss", (), {"pos_weight": probabilities(4)}, (floats(3, 4), probabilities(3, 4))),
    ("BCELoss", (probabilities(4, seed=2),), {}, (probabilities(3, 4), probabilities(3, 4, seed=1))),
    ("LinearCrossEntropyLoss", (4, 3), {"bias": True}, (floats(5, 4), ints(3, 5))),
    ("LinearCrossEntropyLoss", (4, 3), {"out_features": (2,), "reduction": "sum"}, (floats(5, 4), ints(3, 5, 2))),
    ("AdaptiveLogSoftmaxWithLoss", (8, 12, [3, 7]), {"div_value": 2.0}, (floats(5, 8), np.array([0, 2, 4, 11, 7]))),
    ("AdaptiveLogSoftmaxWithLoss", (8, 12, [3, 7]), {"head_bias": True}, (floats(8), np.array(1))),
]  # fmt: skip
