"""Vision models as their authors write them for PyTorch: test_models_torch.py runs this file with torch and with fastdl.

Each row of MODELS: name, (a function that makes the model, a function of NumPy's generator that makes its inputs).
Dropout has the rate 0, so that both libraries compute the same.
"""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inplanes, planes, stride=1, downsample=None, norm_layer=nn.BatchNorm2d):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = norm_layer(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = norm_layer(planes)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self, block, layers, num_classes=10, width=8):
        super().__init__()
        self.inplanes = width
        self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, width, layers[0])
        self.layer2 = self._make_layer(block, 2 * width, layers[1], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(2 * width * block.expansion, num_classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.constant_(m.weight, 1)
                nn.init.constant_(m.bias, 0)

    def _make_layer(self, block, planes, blocks, stride=1):
        downsample = None
        if stride != 1 or self.inplanes != planes * block.expansion:
            downsample = nn.Sequential(
                nn.Conv2d(self.inplanes, planes * block.expansion, 1, stride, bias=False),
                nn.BatchNorm2d(planes * block.expansion),
            )
        layers = [block(self.inplanes, planes, stride, downsample)]
        self.inplanes = planes * block.expansion
        layers.extend(block(self.inplanes, planes) for _ in range(1, blocks))
        return nn.Sequential(*layers)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer2(self.layer1(x))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class VGG(nn.Module):
    def __init__(self, cfg=(8, "M", 16, "M"), num_classes=5):
        super().__init__()
        layers, channels = [], 3
        for v in cfg:
            if v == "M":
                layers += [nn.MaxPool2d(kernel_size=2, stride=2)]
            else:
                layers += [nn.Conv2d(channels, v, kernel_size=3, padding=1), nn.BatchNorm2d(v), nn.ReLU(inplace=True)]
                channels = v
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((3, 3))
        self.classifier = nn.Sequential(
            nn.Linear(channels * 9, 16), nn.ReLU(True), nn.Dropout(0.0), nn.Linear(16, num_classes)
        )

    def forward(self, x):
        x = self.avgpool(self.features(x))
        return self.classifier(x.view(x.size(0), -1))


class DenseLayer(nn.Sequential):
    def __init__(self, channels, growth):
        super().__init__()
        self.add_module("norm", nn.BatchNorm2d(channels))
        self.add_module("relu", nn.ReLU(inplace=True))
        self.add_module("conv", nn.Conv2d(channels, growth, 3, 1, 1, bias=False))

    def forward(self, x):
        return torch.cat([x, super().forward(x)], 1)


class DenseNet(nn.Module):
    def __init__(self, growth=4):
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding="same")
        self.block = nn.Sequential(*(DenseLayer(8 + i * growth, growth) for i in range(3)))
        self.transition = nn.Sequential(nn.BatchNorm2d(20), nn.ReLU(), nn.Conv2d(20, 10, 1), nn.AvgPool2d(2, stride=2))

    def forward(self, x):
        return F.adaptive_avg_pool2d(F.relu(self.transition(self.block(self.stem(x)))), 1).squeeze(-1).squeeze(-1)


class SqueezeExcitation(nn.Module):
    def __init__(self, channels, squeeze, activation=nn.SiLU, scale=nn.Sigmoid):
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeeze, 1)
        self.fc2 = nn.Conv2d(squeeze, channels, 1)
        self.activation, self.scale_activation = activation(), scale()

    def forward(self, x):
        return self.scale_activation(self.fc2(self.activation(self.fc1(self.avgpool(x))))) * x


class InvertedResidual(nn.Module):
    """MobileNetV2's block; with squeeze and excitation EfficientNet's, with Hardswish MobileNetV3's."""

    def __init__(self, inp, oup, stride, expand, activation=nn.ReLU6, se=None):
        super().__init__()
        hidden = int(round(inp * expand))
        self.use_res_connect = stride == 1 and inp == oup
        layers = [nn.Conv2d(inp, hidden, 1, bias=False), nn.BatchNorm2d(hidden, eps=1e-3, momentum=0.01), activation()]
        layers += [nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False), nn.BatchNorm2d(hidden)]
        layers += [activation()] + ([se(hidden, max(1, hidden // 4))] if se else [])
        self.conv = nn.Sequential(*layers, nn.Conv2d(hidden, oup, 1, bias=False), nn.BatchNorm2d(oup))

    def forward(self, x):
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNet(nn.Module):
    def __init__(self, activation, se=None):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), activation(),
            InvertedResidual(8, 8, 1, 2, activation, se), InvertedResidual(8, 12, 2, 3, activation, se),
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Dropout(p=0.0, inplace=True), nn.Linear(12, 4))

    def forward(self, x):
        return self.classifier(self.features(x).mean([2, 3]))


def mobilenet_v3():
    return MobileNet(nn.Hardswish, lambda c, s: SqueezeExcitation(c, s, nn.ReLU, nn.Hardsigmoid))


class DoubleConv(nn.Sequential):
    def __init__(self, i, o):
        super().__init__(nn.Conv2d(i, o, 3, padding=1), nn.InstanceNorm2d(o, affine=True), nn.LeakyReLU(0.1, True))


class UNet(nn.Module):
    def __init__(self, bilinear):
        super().__init__()
        self.inc, self.down = DoubleConv(1, 4), nn.Sequential(nn.MaxPool2d(2), DoubleConv(4, 8))
        self.up = (
            nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), nn.Conv2d(8, 4, 1))
            if bilinear
            else nn.ConvTranspose2d(8, 4, kernel_size=2, stride=2)
        )
        self.conv, self.outc = DoubleConv(8, 4), nn.Conv2d(4, 2, kernel_size=1)

    def forward(self, x):
        x1 = self.inc(x)
        x2 = self.up(self.down(x1))
        dy, dx = x1.size()[2] - x2.size()[2], x1.size()[3] - x2.size()[3]
        x2 = F.pad(x2, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])
        return self.outc(self.conv(torch.cat([x1, x2], dim=1)))


class VAE(nn.Module):
    def __init__(self, latent=3):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 4, 4, 2, 1), nn.ELU(), nn.Flatten())
        self.fc_mu, self.fc_var = nn.Linear(64, latent), nn.Linear(64, latent)
        self.decoder = nn.Sequential(
            nn.Linear(latent, 64), nn.Unflatten(1, (4, 4, 4)), nn.ConvTranspose2d(4, 1, 3, 2, 1, output_padding=1)
        )

    def forward(self, x, eps):
        mu, logvar = (f(self.encoder(x)) for f in (self.fc_mu, self.fc_var))
        z = mu + eps * torch.exp(0.5 * logvar)
        recons = torch.sigmoid(self.decoder(z))
        bce = F.binary_cross_entropy(recons, x, reduction="sum")
        kld = torch.mean(-0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp(), dim=1), dim=0)
        return bce + 0.1 * kld, recons


def weights_init(m):
    classname = m.__class__.__name__
    if classname.find("Conv") != -1:
        nn.init.normal_(m.weight.data, 0.0, 0.02)
    elif classname.find("BatchNorm") != -1:
        nn.init.normal_(m.weight.data, 1.0, 0.02)
        nn.init.constant_(m.bias.data, 0)


class DCGAN(nn.Module):
    def __init__(self, nz=5, ngf=4):
        super().__init__()
        self.generator = nn.Sequential(
            nn.ConvTranspose2d(nz, ngf * 2, 4, 1, 0, bias=False), nn.BatchNorm2d(ngf * 2), nn.ReLU(True),
            nn.ConvTranspose2d(ngf * 2, 3, 4, 2, 1, bias=False), nn.Tanh(),
        )  # fmt: skip
        self.discriminator = nn.Sequential(
            nn.utils.spectral_norm(nn.Conv2d(3, ngf, 4, 2, 1, bias=False)), nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ngf, 1, 4, 1, 0, bias=False), nn.Sigmoid(),
        )  # fmt: skip
        self.apply(weights_init)

    def forward(self, noise, real):
        criterion = nn.BCELoss()
        fake = self.generator(noise)
        label = torch.full((real.size(0),), 1.0, dtype=real.dtype, device=real.device)
        err_real = criterion(self.discriminator(real).view(-1), label)
        fake_label = torch.empty_like(label).fill_(0.0)
        return err_real + criterion(self.discriminator(fake).view(-1), fake_label), fake


class ViT(nn.Module):
    def __init__(self, image=16, patch=4, dim=12, depth=2, heads=3):
        super().__init__()
        self.conv_proj = nn.Conv2d(3, dim, kernel_size=patch, stride=patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embedding = nn.Parameter(torch.empty(1, (image // patch) ** 2 + 1, dim).normal_(std=0.02))
        layer = nn.TransformerEncoderLayer(dim, heads, 2 * dim, 0.0, F.gelu, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, depth, nn.LayerNorm(dim, eps=1e-6), enable_nested_tensor=False)
        self.head = nn.Linear(dim, 7)
        fan_in = self.conv_proj.in_channels * self.conv_proj.kernel_size[0] * self.conv_proj.kernel_size[1]
        nn.init.trunc_normal_(self.conv_proj.weight, std=math.sqrt(1 / fan_in))

    def forward(self, x):
        n = x.shape[0]
        x = self.conv_proj(x).reshape(n, -1, x.shape[-1]) if False else self.conv_proj(x).flatten(2).permute(0, 2, 1)
        x = torch.cat([self.class_token.expand(n, -1, -1), x], dim=1) + self.pos_embedding
        return self.head(self.encoder(x)[:, 0])


class ShiftedWindowAttention(nn.Module):
    """Swin's block: windows of a rolled image, a relative position bias by table, a mask from region numbers."""

    def __init__(self, dim=8, window=2, shift=1, heads=2, size=4):
        super().__init__()
        self.window, self.shift, self.heads, self.scale = window, shift, heads, (dim // heads) ** -0.5
        self.qkv, self.proj, self.norm = nn.Linear(dim, dim * 3), nn.Linear(dim, dim), nn.LayerNorm(dim)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        coords = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
        relative = (coords[:, :, None] - coords[:, None, :]).permute(1, 2, 0).contiguous()
        relative[:, :, 0] += window - 1
        relative[:, :, 1] += window - 1
        relative[:, :, 0] *= 2 * window - 1
        self.register_buffer("relative_position_index", relative.sum(-1))
        regions = torch.zeros((1, size, size, 1))
        count = 0
        for h in (slice(0, -window), slice(-window, -shift), slice(-shift, None)):
            for w in (slice(0, -window), slice(-window, -shift), slice(-shift, None)):
                regions[:, h, w, :] = count
                count += 1
        parts = self.partition(regions).view(-1, window * window)
        mask = parts.unsqueeze(1) - parts.unsqueeze(2)
        mask = mask.masked_fill(mask != 0, (-100.0)).masked_fill(mask == 0, 0.0)
        self.register_buffer("attn_mask", mask, persistent=False)

    def partition(self, x):
        b, h, w, c = x.shape
        x = x.view(b, h // self.window, self.window, w // self.window, self.window, c)
        return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, self.window * self.window, c)

    def forward(self, x):
        b, h, w, c = x.shape
        windows = self.partition(torch.roll(self.norm(x), shifts=(-self.shift, -self.shift), dims=(1, 2)))
        n = windows.shape[1]
        qkv = self.qkv(windows).reshape(-1, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        bias = self.relative_position_bias_table[self.relative_position_index.view(-1)].view(n, n, -1)
        attn = (q * self.scale) @ k.transpose(-2, -1) + bias.permute(2, 0, 1).contiguous().unsqueeze(0)
        count = self.attn_mask.shape[0]
        attn = attn.view(b, count, self.heads, n, n) + self.attn_mask.unsqueeze(1).unsqueeze(0)
        out = (attn.view(-1, self.heads, n, n).softmax(dim=-1) @ v).transpose(1, 2).reshape(-1, n, c)
        out = self.proj(out).view(b, h // self.window, w // self.window, self.window, self.window, c)
        out = out.permute(0, 1, 3, 2, 4, 5).reshape(b, h, w, c)
        return x + torch.roll(out, shifts=(self.shift, self.shift), dims=(1, 2))


def timestep_embedding(timesteps, dim, max_period=10000):
    half = dim // 2
    freqs = torch.exp(-math.log(max_period) * torch.arange(start=0, end=half, dtype=torch.float64) / half)
    args = timesteps[:, None].double() * freqs.to(device=timesteps.device)[None]
    embedding = torch.cat([torch.cos(args), torch.sin(args)], dim=-1)
    if dim % 2:
        embedding = torch.cat([embedding, torch.zeros_like(embedding[:, :1])], dim=-1)
    return embedding


class DiffusionBlock(nn.Module):
    def __init__(self, channels, emb):
        super().__init__()
        self.in_layers = nn.Sequential(
            nn.GroupNorm(4, channels), nn.SiLU(), nn.Conv2d(channels, channels, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(emb, 2 * channels))
        self.out_norm, self.out_conv = nn.GroupNorm(4, channels), nn.Conv2d(channels, channels, 3, padding=1)
        self.qkv = nn.Conv1d(channels, channels * 3, 1)
        for p in self.out_conv.parameters():
            p.detach().zero_()

    def forward(self, x, emb):
        scale, shift = self.emb_layers(emb)[..., None, None].chunk(2, dim=1)
        x = x + self.out_conv(F.silu(self.out_norm(self.in_layers(x)) * (1 + scale) + shift))
        b, c, *spatial = x.shape
        q, k, v = self.qkv(x.reshape(b, c, -1)).chunk(3, dim=1)
        scale = 1 / math.sqrt(math.sqrt(c))
        weight = torch.softmax(torch.einsum("bct,bcs->bts", q * scale, k * scale), dim=-1)
        return x + torch.einsum("bts,bcs->bct", weight, v).reshape(b, c, *spatial)


class DiffusionUNet(nn.Module):
    def __init__(self, channels=8, emb=12, steps=10):
        super().__init__()
        self.time_embed = nn.Sequential(nn.Linear(channels + 1, emb), nn.SiLU(), nn.Linear(emb, emb))
        self.inp, self.out = nn.Conv2d(1, channels, 3, padding=1), nn.Conv2d(channels, 1, 3, padding=1)
        self.down, self.middle = nn.Conv2d(channels, channels, 3, 2, 1), DiffusionBlock(channels, emb)
        betas = torch.linspace(1e-4, 0.02, steps, dtype=torch.float64)
        alphas_cumprod = torch.cumprod(1.0 - betas, dim=0)
        self.register_buffer("sqrt_alphas_cumprod", alphas_cumprod.sqrt())
        self.register_buffer("sqrt_one_minus_alphas_cumprod", torch.sqrt(1.0 - alphas_cumprod))

    def forward(self, x, t, noise):
        shape = (-1,) + (1,) * (x.dim() - 1)
        signal = self.sqrt_alphas_cumprod.gather(-1, t).view(shape)
        x = signal * x + self.sqrt_one_minus_alphas_cumprod[t].view(*shape) * noise
        h = self.inp(x)
        emb = self.time_embed(timestep_embedding(t, 9))
        h = h + F.interpolate(self.middle(self.down(h), emb), scale_factor=2, mode="nearest")
        return F.mse_loss(self.out(h), noise)


class PointNet(nn.Module):
    def __init__(self, classes=4):
        super().__init__()
        self.tnet = nn.Sequential(nn.Conv1d(3, 8, 1), nn.BatchNorm1d(8), nn.ReLU())
        self.fc = nn.Linear(8, 9)
        self.convs = nn.ModuleList([nn.Conv1d(i, o, 1) for i, o in ((3, 8), (8, 16))])
        self.bns = nn.ModuleList([nn.BatchNorm1d(n) for n in (8, 16)])
        self.head = nn.Linear(16, classes)

    def forward(self, x):
        m = torch.max(self.tnet(x), 2, keepdim=True)[0].view(-1, 8)
        trans = self.fc(m).view(-1, 3, 3) + torch.eye(3, dtype=x.dtype).flatten().view(1, 9).repeat(x.size(0), 1).view(
            -1, 3, 3
        )
        x = torch.bmm(x.transpose(2, 1), trans).transpose(2, 1)
        for conv, bn in zip(self.convs, self.bns):
            x = F.relu(bn(conv(x)))
        ortho = torch.norm(
            torch.bmm(trans, trans.transpose(2, 1)) - torch.eye(3, dtype=x.dtype)[None], dim=(1, 2)
        ).mean()
        return F.log_softmax(self.head(x.max(dim=-1).values), dim=1), ortho


def images(*shape):
    return lambda r: (r.standard_normal(shape),)


MODELS = {
    "resnet": (lambda: ResNet(BasicBlock, [2, 1]), images(2, 3, 33, 33)),
    "vgg": (VGG, images(2, 3, 17, 17)),
    "densenet": (DenseNet, images(2, 1, 8, 8)),
    "mobilenet_v2": (lambda: MobileNet(nn.ReLU6), images(2, 3, 16, 16)),
    "mobilenet_v3": (mobilenet_v3, images(2, 3, 16, 16)),
    "efficientnet": (lambda: MobileNet(nn.SiLU, SqueezeExcitation), images(2, 3, 16, 16)),
    "unet": (lambda: UNet(bilinear=False), images(1, 1, 9, 11)),
    "unet_bilinear": (lambda: UNet(bilinear=True), images(2, 1, 8, 8)),
    "vae": (VAE, lambda r: (r.random((2, 1, 8, 8)), r.standard_normal((2, 3)))),
    "dcgan": (DCGAN, lambda r: (r.standard_normal((2, 5, 1, 1)), r.standard_normal((2, 3, 8, 8)))),
    "vit": (ViT, images(2, 3, 16, 16)),
    "swin": (ShiftedWindowAttention, images(2, 4, 4, 8)),
    "diffusion": (
        DiffusionUNet,
        lambda r: (r.standard_normal((2, 1, 8, 8)), r.integers(0, 10, 2), r.standard_normal((2, 1, 8, 8))),
    ),
    "pointnet": (PointNet, images(2, 3, 10)),
}
