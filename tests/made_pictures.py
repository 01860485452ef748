"""Pictures of noise, and the losses that compare them without a file of weights."""

import torch

LOCAL = ("random-vgg16", "laplacian", "l1", "l2", "iou")  # losses that need no weights file


def pictures(count, channels=1, size=28, seed=0):
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(seed))


def as_bytes(images):
    return images.mul(255).round().to(torch.uint8)
