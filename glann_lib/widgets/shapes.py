"""A path between two shapes to move along (Sec. 4.4), in a view that the mouse and a slider turn.

The plain function behind it is `Glann.interpolate`. A whole path is drawn at once; the surface of a shape is computed
when it is first shown, and kept. The view is k3d's: one mesh whose corners are replaced, so that nothing flickers.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import ipywidgets
import k3d
import numpy as np
import torch
import trimesh
from torch import Tensor

from glann_lib.model import Glann
from glann_lib.records import runs
from glann_lib.sampling import PATHS
from glann_lib.shapes import plots as shape_plots
from glann_lib.shapes.meshes import EmptyShapeError, save_mesh, surface
from glann_lib.widgets.explorer import LONG, WIDE, Explorer
from glann_lib.widgets.picture import Picture, strip_of

TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])  # in binary STL
FRAMES = 33  # shapes on a path
SHOWN = 9  # of them in the strip
HEIGHT = 360  # px of the view
FIELD_OF_VIEW = 30.0  # degrees, from the lower to the upper edge of the view
DISTANCE = 1.75  # of the camera from the cube's centre, in sides of the cube: a shape fills the view


class ShapePath:
    """Shapes on the way from one to another, fields uint8 [N, S, S, S] of `Glann.interpolate`, and their surfaces."""

    def __init__(self, fields: Tensor):
        self.fields = fields
        self._meshes: dict[int, trimesh.Trimesh | None] = {}

    def mesh(self, position: int) -> trimesh.Trimesh | None:
        """The surface of a shape by its number, computed when first asked for; None where no voxel is solid."""
        if position not in self._meshes:
            try:
                self._meshes[position] = surface(self.fields[position].numpy())
            except EmptyShapeError:
                self._meshes[position] = None
        return self._meshes[position]


def camera(turn: float) -> list[float]:
    """A camera as k3d takes it: where it stands, what it looks at, and what is up, three numbers each.

    `turn` is in degrees about the upright axis from the view of `shape_plots`, from +x towards +y.
    """
    side, rise = np.deg2rad(shape_plots.AZIMUTH + turn), np.deg2rad(shape_plots.ELEVATION)
    away = np.array([np.cos(rise) * np.cos(side), np.cos(rise) * np.sin(side), np.sin(rise)])
    return [*(0.5 + DISTANCE * away).tolist(), 0.5, 0.5, 0.5, 0.0, 0.0, 1.0]


def stl_of(mesh: trimesh.Trimesh | None) -> bytes:
    """A mesh as k3d takes it, binary STL; None: without a triangle.

    One message, one value: corners and triangles sent as two are drawn mixed up now and then. The normals are zero, as
    k3d rounds the surface off only where corners of different triangles are alike.
    """
    triangles = np.zeros(len(mesh.faces) if mesh else 0, TRIANGLE)
    if mesh:
        triangles["corners"] = mesh.triangles
    return bytes(80) + np.uint32(len(triangles)).astype("<u4").tobytes() + triangles.tobytes()


def require_shapes(model: Any) -> None:
    """Refuse a model that draws images by a ValueError."""
    if len(set(model.generator.shape)) != 1:
        raise ValueError("this model draws images, this widget shows shapes: use widgets.InterpolationWidget")


class ShapesWidget(Explorer):
    """Two seeds, the way between their shapes, sliders along it and around it, a strip beneath, and a button to save.

    The button saves to `folder`. A ValueError refuses a model of images.
    """

    def __init__(self, model: Glann, folder: Path | str = "."):
        require_shapes(model)
        self.model, self.folder = model, Path(folder)
        self._showing = threading.Lock()  # a path and a position can come at the same time
        self.first = ipywidgets.BoundedIntText(0, 0, 999_999, description="from seed", tooltip="where the path begins")
        self.last = ipywidgets.BoundedIntText(1, 0, 999_999, description="to seed", tooltip="where the path ends")
        self.path = ipywidgets.Dropdown(
            options=list(PATHS), value="noise-spherical", description="path", tooltip="what changes evenly on the way"
        )
        self.position = ipywidgets.IntSlider(0, 0, FRAMES - 1, description="position", tooltip="place on the path")
        self.turn = ipywidgets.FloatSlider(0, min=-180, max=180, step=5, description="turn", readout_format=".0f")
        self.turn.tooltip = "degrees about the upright axis; the mouse turns the view, too"
        self.play = ipywidgets.Play(max=FRAMES - 1, interval=120, repeat=True, tooltip="move along the path")
        self.save = ipywidgets.Button(description="save mesh (OBJ)", tooltip="write the shape that is shown to a file")
        self.view, self.surface = _make_view()
        self.caption, self.strip = ipywidgets.HTML(), Picture(width=SHOWN * 90, smooth=True)
        super().__init__([ipywidgets.HBox([self._controls(), self._shown()]), self.strip])
        ipywidgets.jslink((self.play, "value"), (self.position, "value"))
        self.position.observe(lambda _: self._show_position(), "value")
        self.turn.observe(lambda change: self.view.set_trait("camera", camera(change.new)), "value")
        self.save.on_click(lambda _: self._save())
        self.start(self.first, self.last, self.path)

    def _controls(self) -> ipywidgets.Widget:
        controls = [self.first, self.last, self.path, self.position, self.turn]
        for control in controls:
            control.style = WIDE
        self.position.layout.width = self.turn.layout.width = LONG
        return ipywidgets.VBox([*controls, self.play, self.save])

    def _shown(self) -> ipywidgets.Widget:
        return ipywidgets.VBox([self.view, self.caption], layout=ipywidgets.Layout(flex="1 1 360px", max_width="560px"))

    def request(self) -> tuple[int, int, str]:
        """The seeds of both ends, and the path."""
        return self.first.value, self.last.value, self.path.value

    def draw(self, request: tuple[int, int, str]) -> None:
        """The path between two seeds, as `Glann.interpolate` draws it."""
        first, last, path = request
        self.shown = request, ShapePath(self.model.interpolate(first, last, FRAMES, path))
        self._show_position()
        fields = self.shown[1].fields[torch.linspace(0, FRAMES - 1, SHOWN).round().long()]
        words = f"{SHOWN} shapes on the way from seed {first} to seed {last}, {path}"
        self.strip.show(strip_of(shape_plots.render(fields)), alt=words, caption=words)

    def _show_position(self) -> None:
        with self._showing:
            (first, last, path), shapes = self.shown
            position = self.position.value
            mesh = shapes.mesh(position)
            self.surface.binary = stl_of(mesh)
            part = f"{position / (FRAMES - 1):.0%}"
            self.caption.value = f"<small>{part} of the way from seed {first} to seed {last}, {path}</small>"
            self.say("" if mesh else "the shape is empty: none of its voxels is solid; move on or choose another seed")

    def _save(self) -> None:
        """Save the shape that is shown, and say where it lies, or why not."""
        (first, last, path), shapes = self.shown
        position = self.position.value
        mesh = shapes.mesh(position)
        if mesh is None:
            self.say("nothing is saved: the shape is empty; move on or choose another seed")
            return
        try:
            saved = save_mesh(mesh, self.folder / f"seeds-{first}-{last}-{path}-{position:02d}.obj")
            self.say(f"saved {runs.shown(saved)}")
        except OSError as error:
            self.say(error.strerror or str(error))


def _make_view() -> tuple[k3d.Plot, Any]:
    """A white view, and an empty mesh in it."""
    view = k3d.plot(
        height=HEIGHT,
        background_color=0xFFFFFF,
        grid_visible=False,
        axes_helper=0,
        menu_visibility=False,
        camera_auto_fit=False,  # else the view would jump with every shape
        camera_mode="orbit",
        camera_up_axis="z",
        camera_fov=FIELD_OF_VIEW,
    )
    colour = int(shape_plots.CLAY.removeprefix("#"), 16)
    shape = k3d.stl(stl_of(None), color=colour, flat_shading=False, name="shape")
    view += shape
    view.camera = camera(0)
    return view, shape
