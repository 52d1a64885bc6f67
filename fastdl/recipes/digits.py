"""A small convolutional classifier: of handwritten digits, and (``fashion_mnist.py``) of clothes.

The images are shuffled into batches; AdamW with a one-cycle learning rate fits a few blocks of convolution, batch norm
and pooling. The weights are those of the last epoch; nothing is chosen by the test images.
"""

import fastdl as fd
from fastdl import nn, optim
from fastdl.data import DataLoader
from fastdl.datasets import DATASETS
from fastdl.models import build
from fastdl.train import Trainer, classification_scores, plot_confusion

DEFAULTS = {
    "data": "digits",
    "epochs": 15,
    "batch_size": 64,
    "lr": 0.01,  # the highest of the one-cycle schedule
    "weight_decay": 0.01,
    "model": {"widths": [16, 32], "pools": [False, True], "dropout": 0.25},
}


def build_model(config):
    return build(config["model"])


def train(run):
    config = run.config
    data = DATASETS[config["data"]](*[] if config["data_dir"] is None else [config["data_dir"]])
    train_loader = DataLoader(data.train, config["batch_size"], shuffle=True)
    test_loader = DataLoader(data.test, 500)

    # The model takes raw pixels: their mean and deviation in the training data are part of its weights.
    pixels = data.train.tensors[0].to(fd.float32)
    network = {
        "type": "ConvClassifier",
        "image_size": list(data.image_size),
        "classes": len(data.classes),
        "mean": pixels.mean().item(),
        "std": pixels.std().item(),
        **config["model"],
    }
    fd.manual_seed(config["seed"])
    model = build(network).to(run.device)
    run.record(
        classes=list(data.classes),
        image_size=list(data.image_size),
        pixel_max=data.pixel_max,
        attribution=data.attribution,
        model=model.config,
    )

    optimizer = optim.AdamW(model.parameters(), lr=config["lr"], weight_decay=config["weight_decay"])
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=config["lr"], total_steps=run.total_steps(train_loader))
    trainer = Trainer(model, optimizer, nn.CrossEntropyLoss(), scheduler=scheduler)
    print(
        f"{len(data.train)} training and {len(data.test)} test images of {data.attribution}; "
        f"{sum(p.numel() for p in model.parameters())} parameters, {config['epochs']} epochs",
        flush=True,
    )
    if not run.fit(trainer, train_loader, test_loader):
        return None

    predicted, target = trainer.predict(test_loader)
    scores = classification_scores(target.numpy(force=True), predicted.numpy(force=True), len(data.classes))
    plot_confusion(scores["confusion"], data.classes, run.folder / "confusion.png")
    return run.finish(model, trainer.history, test={**scores, "loss": trainer.history[-1]["valid_loss"]})
