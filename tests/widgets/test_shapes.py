"""The widget of shapes shows what the plain functions give, turns as it says, and saves what it shows."""

import io

import numpy as np
import pytest
import torch
import trimesh

from glann_lib import Glann
from glann_lib.sampling import draw_noise
from glann_lib.shapes import meshes
from glann_lib.shapes import plots as shape_plots
from glann_lib.widgets import shapes as shapes_widget
from glann_lib.widgets.picture import png_bytes, strip_of
from glann_lib.widgets.shapes import FRAMES, SHOWN, ShapesWidget, camera, stl_of

FIT = {"glo_epochs": 1, "glo_batch_size": 8, "glo_latent_dim": 8, "glo_loss": "l1"}
FIT |= {"imle_epochs": 1, "imle_batch_size": 8, "glo_precision": "float32"}


def fitted(data, **width):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLANN_PROGRESS", "lines")
        return Glann.fit(data, device="cpu", **FIT, **width)


@pytest.fixture(scope="module")
def model():
    """Small shapes that differ: after one epoch alone all fields would be nearly the same."""
    voxels = torch.rand(16, 32, 32, 32, generator=torch.Generator().manual_seed(0)) > 0.5
    made = fitted(voxels, glo_voxel_channels=8)
    last = made.generator.layers[-2]
    last.weight.data.abs_().mul_(20)  # of one sign: the surfaces are less ragged, and fast to draw
    last.bias.data.zero_()
    inside = made.sample(8).float().div(255).logit(1e-3)
    last.bias.data -= inside.quantile(0.97)
    return made


@pytest.fixture
def widget(model, tmp_path):
    return ShapesWidget(model, tmp_path / "meshes")


def triangles(widget):
    """The corners [F, 3, 3] of what the view shows, as another reader of STL sees them."""
    return np.asarray(trimesh.load_mesh(io.BytesIO(widget.surface.binary), file_type="stl", process=False).triangles)


def test_a_position_shows_the_surface_of_that_shape(model, widget):
    fields = model.interpolate(0, 1, FRAMES)
    for position in (0, 7, FRAMES - 1):
        widget.position.value = position
        wanted = meshes.surface(fields[position].numpy()).triangles
        assert np.abs(triangles(widget) - wanted).max() < 1e-6
    assert "100% of the way from seed 0 to seed 1" in widget.caption.value


def test_other_ends_and_paths_are_drawn_anew(model, widget):
    widget.position.value = 5
    before = triangles(widget)
    widget.first.value, widget.path.value = 3, "latent-linear"
    widget.wait()
    fields = model.interpolate(3, 1, FRAMES, "latent-linear")
    wanted = meshes.surface(fields[5].numpy()).triangles
    assert before.shape != wanted.shape or np.abs(before - wanted).max() > 0.01
    assert np.abs(triangles(widget) - wanted).max() < 1e-6
    shown = fields[torch.linspace(0, FRAMES - 1, SHOWN).round().long()]
    assert widget.strip.value == png_bytes(strip_of(shape_plots.render(shown)))
    assert "seed 3 to seed 1, latent-linear" in widget.strip.alt == widget.strip.caption


def test_surfaces_are_computed_when_first_shown_and_kept(widget, monkeypatch):
    asked = []
    monkeypatch.setattr(shapes_widget, "surface", lambda field: asked.append(1) or meshes.surface(field))
    for position in (0, 1, 2, 1, 0):  # the first was shown before
        widget.position.value = position
    assert len(asked) == 2


def test_stl_holds_every_triangle():
    mesh = trimesh.creation.box()
    read = trimesh.load_mesh(io.BytesIO(stl_of(mesh)), file_type="stl", process=False)
    assert np.array_equal(read.triangles, mesh.triangles.astype(np.float32))
    assert stl_of(None) == bytes(84)  # a header, and no triangle


@pytest.mark.parametrize(("turn", "side"), [(0, (-140, 20)), (50, (-90, 20)), (-130, (90, 20))])
def test_the_camera_goes_round_the_cube(widget, turn, side):
    widget.turn.value = turn
    where, target, up = np.reshape(widget.view.camera, (3, 3))
    assert np.allclose(widget.view.camera, camera(turn)) and np.allclose(target, 0.5)
    assert np.array_equal(up, [0, 0, 1])
    away = where - target
    azimuth = np.degrees(np.arctan2(away[1], away[0]))
    elevation = np.degrees(np.arcsin(away[2] / np.linalg.norm(away)))
    assert np.allclose((azimuth, elevation), side, atol=1e-6)


def test_an_empty_shape_is_said_to_be_one(model, tmp_path, monkeypatch):
    monkeypatch.setattr(model.generator.layers[-2].bias, "data", torch.tensor([-1e4]))
    widget = ShapesWidget(model, tmp_path)
    assert widget.surface.binary == bytes(84) and "the shape is empty" in widget.message.value
    widget.save.click()
    assert "nothing is saved" in widget.message.value and not list(tmp_path.iterdir())


def test_the_shape_that_is_shown_is_saved(model, widget, tmp_path):
    widget.position.value = 4
    widget.save.click()
    (path,) = (tmp_path / "meshes").iterdir()
    assert path.name == "seeds-0-1-noise-spherical-04.obj" and path.name in widget.message.value
    wanted = meshes.surface(model.interpolate(0, 1, FRAMES)[4].numpy())
    saved = trimesh.load_mesh(path, process=False)
    assert len(saved.faces) == len(wanted.faces) and abs(saved.volume - wanted.volume) < 1e-5


def test_a_folder_that_cannot_be_written_is_one_line(model, tmp_path):
    (tmp_path / "file").write_text("")
    widget = ShapesWidget(model, tmp_path / "file")
    widget.save.click()
    assert "saved" not in widget.message.value and len(widget.message.value.splitlines()) == 1


def test_the_ends_are_the_samples_of_their_seeds(model, widget):
    fields = widget.shown[1]
    for field, seed in ((fields[0], 0), (fields[-1], 1)):
        assert (field.int() - model.sample(1, seed)[0].int()).abs().max() <= 1
    noises = [draw_noise(1, model.mapper.noise_dim, seed)[0] for seed in (0, 1)]
    assert torch.equal(fields, model.interpolate(*noises, FRAMES))


def test_a_model_of_images_is_refused():
    images = np.random.default_rng(0).integers(0, 256, (16, 28, 28), dtype=np.uint8)
    with pytest.raises(ValueError, match=r"^this model draws images.*widgets\.InterpolationWidget$"):
        ShapesWidget(fitted(images, glo_feature_channels=8))
