"""A small convolutional classifier for small grey images."""

import fastdl as fd
from fastdl import nn


class Standardize(nn.Module):
    """``(x - mean) / std`` in float32, with both kept in the weights file.

    A model that starts with it takes raw pixels, also uint8 ones, so nobody has to remember how its data was scaled.

    Args:
        mean, std: numbers; the pixels' mean and standard deviation in the training data.

    Raises:
        ValueError: std is not positive.

    Example:
        >>> import fastdl as fd
        >>> Standardize(2.0, 4.0)(fd.tensor([2, 10], dtype=fd.uint8)).tolist()
        [0.0, 2.0]
    """

    def __init__(self, mean, std):
        super().__init__()
        if not std > 0:
            raise ValueError(f"Standardize: std must be positive, got {std}")
        self.register_buffer("mean", fd.tensor(float(mean)))
        self.register_buffer("std", fd.tensor(float(std)))

    def forward(self, x):
        return (x.to(fd.float32) - self.mean) / self.std


class ConvClassifier(nn.Module):
    """Blocks of convolution 3 x 3, batch norm, ReLU and (where asked for) max pooling, then one linear layer.

    Shape: (N, 1, height, width) pixels, any dtype -> (N, classes) logits, float32.

    Args:
        image_size: (height, width) in pixels.
        classes: number of classes.
        widths: output channels of each block.
        pools: for each block, whether it halves the image; all do if None.
        dropout: probability of dropping a feature before the linear layer.
        mean, std: the pixels' mean and standard deviation in the training data.

    Raises:
        ValueError: the lists differ in length, or the image is too small for the number of pools.

    Example:
        >>> import fastdl as fd
        >>> model = ConvClassifier((8, 8), classes=3, widths=(4, 8))
        >>> tuple(model(fd.zeros(2, 1, 8, 8)).shape)
        (2, 3)
    """

    def __init__(self, image_size, classes, widths=(16, 32, 64), pools=None, dropout=0.25, mean=0.0, std=1.0):
        super().__init__()
        pools = [True] * len(widths) if pools is None else list(pools)
        height, width = image_size
        if len(pools) != len(widths):
            raise ValueError(f"ConvClassifier: {len(widths)} widths need as many pools, got {len(pools)}")
        if min(height, width) >> sum(pools) < 1:
            raise ValueError(
                f"ConvClassifier: images of {height} x {width} are too small to be halved {sum(pools)} times"
            )
        self.config = {
            "type": type(self).__name__,
            "image_size": [height, width],
            "classes": classes,
            "widths": list(widths),
            "pools": pools,
            "dropout": dropout,
            "mean": mean,
            "std": std,
        }
        layers = [Standardize(mean, std)]
        channels = 1
        for width_out, pool in zip(widths, pools):
            layers += [
                nn.Conv2d(channels, width_out, 3, padding=1, bias=False),
                nn.BatchNorm2d(width_out),
                nn.ReLU(),
            ]
            channels = width_out
            if pool:
                layers.append(nn.MaxPool2d(2))
                height, width = height // 2, width // 2
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Dropout(dropout), nn.Linear(channels * height * width, classes)
        )

    def forward(self, x):
        return self.classifier(self.features(x))
