"""What the processes of test_ranks.py run: small trainings that several processes share; results go to a folder.

Started by torchrun, or alone: then one process trains on the global batches that so many processes would share.
"""

import contextlib
import json
import os
import sys
from pathlib import Path

import torch

from glann_lib import glo, imle
from glann_lib.config import GLOConfig, IMLEConfig
from glann_lib.engine import ranks, storage, training
from glann_lib.rivals.config import VAEConfig
from glann_lib.rivals.vae import VAE

IMAGES, LATENT_DIM = 43, 16  # no two processes hold as many of them
CPU = torch.device("cpu")


def pictures(seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (IMAGES, 1, 28, 28), generator=draw, dtype=torch.uint8)


def glo_config(**own):
    settings = {"epochs": 3, "batch_size": 8, "decay_every": 1, "feature_channels": 16, "precision": "float32"}
    return GLOConfig(LATENT_DIM, loss="laplacian", **settings | own)


def codes():
    draw = torch.Generator().manual_seed(1)
    return torch.nn.functional.normalize(torch.randn(IMAGES, LATENT_DIM, generator=draw), dim=1)


def make_stage(kind):
    if kind.startswith("imle"):
        moments = "matched" if "matched" in kind else "learned"
        return imle.IMLE(codes(), IMLEConfig(8, 16, 4, batch_size=8, moments=moments), CPU)
    own = {"optimiser": "persistent"} if "persistent" in kind else {}
    own |= {"normalisation": "none"} if "none" in kind else {}
    return glo.GLO(pictures(), glo_config(**own), CPU)


def batches_of(processes):
    """`stages.batches` for one process, the batches being those that so many processes would share."""

    def batches(count, size, random, device):
        shares = [len(range(number, count, processes)) for number in range(processes)]
        orders = [torch.randperm(rows, generator=random) * processes + number for number, rows in enumerate(shares)]
        part = size // processes
        steps = min(shares) // part
        parts = [order[: steps * part].split(part) for order in orders]
        return [torch.cat(together) for together in zip(*parts, strict=True)]

    return batches


def wait_for_a_kill(stage, folder, epoch):
    """Process 1 stops in the middle of an epoch, and says that it may be killed now."""
    real, calls = stage.step, []

    def step(*inputs):
        calls.append(inputs)
        if len(calls) == epoch * 5 + 2 and ranks.rank() == 1:
            (folder / "pid").write_text(str(os.getpid()))
            while True:
                torch.rand(1)
        return real(*inputs)

    stage.step = step


def train(folder, kind, *more):
    """Train one kind of stage; its state, losses and what it held while it trained go to a file of this process."""
    stage = make_stage(kind)
    if "killed" in more:
        wait_for_a_kill(stage, folder, 2)
    history = list(training.train(stage, folder / "stage.safetensors" if {"kept", "killed"} & set(more) else None))
    state = {name: values.clone() for name, values in stage.state().items()}
    told = {"held": [*stage.latents.shape], "epochs": [vars(record) for record in history]}
    storage.save_tensors(folder / f"{kind} {ranks.rank()}.safetensors", state, told)


def refuse(folder):
    """What each process says where they do not go together."""
    said = []
    for work in (
        lambda: glo.GLO(pictures(seed=ranks.rank()), glo_config(), CPU),
        lambda: glo.GLO(pictures(), glo_config(batch_size=9), CPU),
        lambda: VAE(pictures(), VAEConfig("l1", steps=4, batch_size=8), CPU).run_epoch(1),
        lambda: ranks.require_same(str(ranks.rank()), "checkpoints"),
    ):
        try:
            work()
        except ValueError as error:
            said.append(str(error))
    (folder / f"said {ranks.rank()}.json").write_text(json.dumps(said))


def main(folder, kinds, *more):
    torch.set_num_threads(1)
    training.CHECKPOINT_SECONDS = -1.0
    alone = "LOCAL_RANK" not in os.environ
    if alone and more and more[0].isdigit():
        glo.batches = imle.batches = batches_of(int(more[0]))
    with contextlib.nullcontext() if alone else ranks.joined("cpu"):
        for kind in kinds.split(","):
            refuse(folder) if kind == "refuse" else train(folder, kind, *more)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
