"""A DCGAN on Fashion-MNIST: a generator turns noise into images that a critic cannot tell from real ones.

The losses are the hinge losses. Every few steps the critic also pays for the slope of its score at real images, a term
whose gradient is one of second order; without it the critic wins, and the generator has nothing to follow. Samples are
drawn from the running average of the generator's weights, which is calmer than the weights themselves.

How good the samples are is said by a judge, a classifier that was trained on the real images: how sure it is, and how
many of the ten classes it sees among 1,000 samples. No epoch is chosen by it; the learning rate, the batch norm in the
critic and the strength of the penalty were, in short trials.

Sources: A. Radford, L. Metz and S. Chintala (2016), Unsupervised Representation Learning with Deep Convolutional
Generative Adversarial Networks, arXiv:1511.06434; J. H. Lim and J. C. Ye (2017), Geometric GAN, arXiv:1705.02894 (hinge);
L. Mescheder, A. Geiger and S. Nowozin (2018), Which Training Methods for GANs do actually Converge?, arXiv:1801.04406
(the penalty R1).
"""

import fastdl as fd
import fastdl.nn.functional as F
from fastdl import nn, optim
from fastdl.data import DataLoader, TensorDataset
from fastdl.datasets import fashion_mnist, mnist_format
from fastdl.models import ConvClassifier
from fastdl.train import Callback, Trainer, plot_images

DEFAULTS = {
    "epochs": 8,
    "batch_size": 64,
    "lr": 0.0005,
    "latent": 64,  # numbers of noise that become an image
    "width": 48,  # channels at 14 x 14 pixels; twice as many at 7 x 7
    "penalty": 0.1,
    "penalty_every": 4,  # steps
    "average": 0.999,
    "judge_epochs": 5,
}
SAMPLES = 1000
LEAST_SHARE = 0.03  # of the samples, for a class to count


class Generator(nn.Sequential):
    """(N, latent) noise -> (N, 1, 28, 28) pixels from -1 to 1"""

    def __init__(self, latent, width):
        super().__init__(
            nn.Linear(latent, 2 * width * 7 * 7, bias=False),
            nn.Unflatten(1, (2 * width, 7, 7)),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.ConvTranspose2d(width, 1, 4, stride=2, padding=1),
            nn.Tanh(),
        )


class Critic(nn.Sequential):
    """(N, 1, 28, 28) pixels -> (N, 1) scores: above 1 for surely real, below -1 for surely made"""

    def __init__(self, width):
        super().__init__(
            nn.Conv2d(1, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(2 * width * 7 * 7, 1),
        )


class AdversarialTrainer(Trainer):
    """A step trains the critic, then the generator. ``optimizer`` is the critic's."""

    def __init__(self, generator, critic, average, judge, config):
        betas = (0.5, 0.99)
        self.generator, self.critic, self.average, self.judge, self.config = generator, critic, average, judge, config
        self.generator_optimizer = optim.Adam(generator.parameters(), lr=config["lr"], betas=betas)
        super().__init__(
            nn.ModuleDict({"generator": generator, "critic": critic}),
            optim.Adam(critic.parameters(), lr=config["lr"], betas=betas),
            extra_state={"generator_optimizer": self.generator_optimizer, "average": average},
        )

    def train_step(self, images, _):
        real = images.to(fd.float32) / 127.5 - 1
        noise = fd.randn(len(real), self.config["latent"], device=real.device)

        self.critic.requires_grad_(True)
        with fd.no_grad():
            fake = self.generator(noise)
        critic_loss = F.relu(1 - self.critic(real)).mean() + F.relu(1 + self.critic(fake)).mean()
        loss = critic_loss
        if self.step % self.config["penalty_every"] == 0:
            real.requires_grad_(True)
            (slope,) = fd.autograd.grad(self.critic(real).sum(), real, create_graph=True)
            penalty = slope.square().sum((1, 2, 3)).mean()
            loss = loss + 0.5 * self.config["penalty"] * self.config["penalty_every"] * penalty
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

        self.critic.requires_grad_(False)
        generator_loss = -self.critic(self.generator(noise)).mean()
        self.generator_optimizer.zero_grad()
        generator_loss.backward()
        self.generator_optimizer.step()
        self.average.update_parameters(self.generator)
        return {
            "critic_loss": self.finite("critic's loss", critic_loss),
            "generator_loss": self.finite("generator's loss", generator_loss),
        }

    def evaluate(self, noises):
        """What the judge says of the samples from some noise"""
        probabilities = self.judge((self.samples(noises) + 1) * 127.5).softmax(1)
        shares = fd.bincount(probabilities.argmax(1).cpu(), minlength=10).to(fd.float32) / len(probabilities)
        return {
            "confidence": probabilities.amax(1).mean().item(),
            "classes": (shares > LEAST_SHARE).sum().item(),
            "smallest_share": shares.min().item(),
        }

    def samples(self, noises):
        self.average.eval()
        with fd.inference_mode():
            return fd.cat([self.average(self.to_device(noise)) for (noise,) in noises])


class Grid(Callback):
    """A picture of samples after every epoch, always from the same noise"""

    def __init__(self, folder, noises):
        self.folder, self.noises = folder, noises

    def on_epoch_end(self, trainer):
        plot_images(trainer.samples(self.noises)[:100], self.folder / f"samples-{trainer.epoch:03}.png")


def train(run):
    config = run.config
    data = fashion_mnist() if config["data_dir"] is None else mnist_format(config["data_dir"])
    train_loader = DataLoader(data.train, config["batch_size"], shuffle=True, drop_last=True)
    print(f"{len(data.train)} images of {data.attribution}; {run.total_steps(train_loader)} steps", flush=True)
    run.record(classes=list(data.classes), attribution=data.attribution)

    # The judge: the classifier of the recipe fashion-mnist, trained on the real images.
    pixels = data.train.tensors[0].to(fd.float32)
    fd.manual_seed(config["seed"])
    judge = ConvClassifier(data.image_size, 10, mean=pixels.mean().item(), std=pixels.std().item()).to(run.device)
    loader = DataLoader(data.train, 128, shuffle=True)
    optimizer = optim.AdamW(judge.parameters(), lr=0.01)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, 0.01, run.total_steps(loader, config["judge_epochs"]))
    print("the judge, a classifier of the real images:", flush=True)
    judging = Trainer(judge, optimizer, scheduler=schedule)
    if not run.fit(judging, loader, DataLoader(data.test, 500), part="judge", epochs=config["judge_epochs"]):
        return None
    judge.eval()

    # The game
    fd.manual_seed(config["seed"])
    generator = Generator(config["latent"], config["width"]).to(run.device)
    critic = Critic(config["width"]).to(run.device)
    for parameter in [*generator.parameters(), *critic.parameters()]:
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.02)
    average = optim.swa_utils.AveragedModel(
        generator, multi_avg_fn=optim.swa_utils.get_ema_multi_avg_fn(config["average"]), use_buffers=True
    )
    noises = DataLoader(TensorDataset(fd.randn(SAMPLES, config["latent"])), 250)
    trainer = AdversarialTrainer(generator, critic, average, judge, config)
    trainer.callbacks.append(Grid(run.folder, noises))
    print("generator and critic:", flush=True)
    if not run.fit(trainer, train_loader, noises):
        return None
    return run.finish(average.module, trainer.history, valid="samples", test=trainer.evaluate(noises))
