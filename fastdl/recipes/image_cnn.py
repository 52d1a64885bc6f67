"""A residual network on Fashion-MNIST: 60,000 images of clothes, 28 x 28 pixels, ten classes.

Training images are shifted, mirrored and partly erased anew in each epoch, so that the network sees none of them twice.
AdamW with a one-cycle learning rate trains it; every tenth training image is held back to look at while it does. The test
images are looked at once, at the end.

Sources: K. He et al. (2015), Deep Residual Learning for Image Recognition, arXiv:1512.03385; L. N. Smith and N. Topin
(2017), Super-Convergence, arXiv:1708.07120; Z. Zhong et al. (2017), Random Erasing Data Augmentation, arXiv:1708.04896.
"""

import fastdl as fd
import fastdl.nn.functional as F
from fastdl import nn, optim
from fastdl.data import (
    Compose,
    DataLoader,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
    Subset,
)
from fastdl.datasets import fashion_mnist, mnist_format
from fastdl.models import Standardize
from fastdl.train import Trainer, class_scores, classification_scores, confusion, plot_confusion

DEFAULTS = {
    "epochs": 10,
    "batch_size": 128,
    "lr": 0.01,  # the highest of the one-cycle schedule
    "weight_decay": 0.05,
    "label_smoothing": 0.1,
    "model": {"widths": [32, 64, 128]},
}
CLASSES = 10


# --- the model


def block(channels_in, channels_out):
    """Convolution 3 x 3, batch norm, ReLU"""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False), nn.BatchNorm2d(channels_out), nn.ReLU()
    )


class Residual(nn.Module):
    """x + f(x): what two convolutions add to their input"""

    def __init__(self, channels):
        super().__init__()
        self.first = block(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x):
        return F.relu(x + self.second(self.first(x)))


class ResidualCNN(nn.Module):
    """(N, 1, 28, 28) pixels from 0 to 255 -> (N, 10) logits.

    Each stage widens the channels, halves the image and adds a residual block; the mean over what is left of the image
    goes into one linear layer.
    """

    def __init__(self, widths, mean=0.0, std=1.0):
        super().__init__()
        stages = []
        for channels_in, channels_out in zip([1, *widths], widths):
            stages += [block(channels_in, channels_out), nn.MaxPool2d(2), Residual(channels_out)]
        self.features = nn.Sequential(Standardize(mean, std), *stages)
        self.classifier = nn.Linear(widths[-1], CLASSES)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def build_model(config):
    return ResidualCNN(**config["model"])


# --- the training


class AugmentingTrainer(Trainer):
    """Trains on images as they are after ``augment``; evaluates on the images themselves"""

    augment = Compose([RandomCrop(28, padding=2), RandomHorizontalFlip(), RandomErasing(p=0.25, scale=(0.02, 0.2))])

    def train_step(self, images, labels):
        return super().train_step(self.augment(images), labels)


def train(run):
    config = run.config
    data = fashion_mnist() if config["data_dir"] is None else mnist_format(config["data_dir"])
    held_back = range(0, len(data.train), 10)
    train_set = Subset(data.train, [i for i in range(len(data.train)) if i % 10])
    train_loader = DataLoader(train_set, config["batch_size"], shuffle=True, drop_last=True)
    valid_loader = DataLoader(Subset(data.train, held_back), 500)
    test_loader = DataLoader(data.test, 500)

    pixels = data.train.tensors[0].to(fd.float32)
    run.record(
        classes=list(data.classes),
        image_size=list(data.image_size),
        pixel_max=data.pixel_max,
        attribution=data.attribution,
        model={**config["model"], "mean": pixels.mean().item(), "std": pixels.std().item()},
    )
    fd.manual_seed(config["seed"])
    model = build_model(config).to(run.device)
    print(
        f"{len(train_set)} training, {len(held_back)} validation and {len(data.test)} test images of {data.attribution}; "
        f"{sum(p.numel() for p in model.parameters())} parameters",
        flush=True,
    )

    optimizer = optim.AdamW(model.parameters(), lr=config["lr"], weight_decay=config["weight_decay"])
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, config["lr"], run.total_steps(train_loader))
    trainer = AugmentingTrainer(
        model,
        optimizer,
        nn.CrossEntropyLoss(label_smoothing=config["label_smoothing"]),
        scheduler,
        metrics={"confusion": confusion(CLASSES)},
        summarize=class_scores,
    )
    if not run.fit(trainer, train_loader, valid_loader):
        return None

    predicted, labels = trainer.predict(test_loader)  # the one look at the test images
    scores = classification_scores(labels.numpy(force=True), predicted.numpy(force=True), CLASSES)
    plot_confusion(scores["confusion"], data.classes, run.folder / "confusion.png")
    return run.finish(model, trainer.history, valid="validation", test=scores)
