"""A training that dies by kill -9 at a named moment: what the processes of test_resume.py run."""

import os
import signal

import torch

from glann_lib.config import GLOConfig, IMLEConfig
from glann_lib.engine import training
from glann_lib.glo import GLO
from glann_lib.imle import IMLE

EPOCHS = 6
BATCHES, BATCH_SIZE = 4, 25  # batches an epoch, images a batch


def make_stage(kind):
    draw = torch.Generator().manual_seed(0)
    device = torch.device("cpu")
    if kind == "imle":
        latents = torch.nn.functional.normalize(torch.randn(BATCHES * BATCH_SIZE + 7, 64, generator=draw), dim=1)
        return IMLE(latents, IMLEConfig(epochs=EPOCHS, batch_size=BATCH_SIZE), device)
    images = torch.randint(0, 256, (BATCHES * BATCH_SIZE + 7, 1, 28, 28), dtype=torch.uint8, generator=draw)
    return GLO(
        images, GLOConfig(loss="laplacian", optimiser=kind, epochs=EPOCHS, batch_size=BATCH_SIZE, decay_every=2), device
    )


def dying(function, moment):
    """`function`, but where moment(number of the call, arguments) holds, kill -9 instead."""
    calls = []

    def call(*args, **kwargs):
        calls.append(args)
        if moment(len(calls), args):
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    return call


def train_in_process(kind, folder, kill, checkpoint_seconds):
    """What a process does: train, note each epoch as it begins, and die at the moment named by `kill`, if any."""
    torch.set_num_threads(1)
    training.CHECKPOINT_SECONDS = checkpoint_seconds
    stage = make_stage(kind)
    run_epoch = stage.run_epoch

    def noted(epoch):
        with open(folder / "log", "a") as file:
            file.write(f"{epoch}\n")
        return run_epoch(epoch)

    stage.run_epoch = noted
    place, number = kill or (None, 0)
    if place == "batch":
        stage.step = dying(stage.step, lambda call, args: call == number)
    elif place == "checkpoint":  # written to its temporary file, not yet on the disk
        os.fsync = dying(os.fsync, lambda call, args: call == number)
    elif place == "rename":
        os.replace = dying(os.replace, lambda call, args: call == number)
    elif place == "result":
        os.replace = dying(os.replace, lambda call, args: str(args[1]).endswith("stage.safetensors"))
    elif place == "last checkpoint":  # the result is there, the checkpoint not yet removed
        os.unlink = dying(
            os.unlink, lambda call, args: "partial" in str(args[0]) and str(args[0]).endswith(".safetensors")
        )
    for _ in training.train(stage, folder / "stage.safetensors"):
        pass
