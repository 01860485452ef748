"""A path between two shapes to move along (Sec. 4.4), in a view of k3d that the mouse and a slider turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ipywidgets
import k3d
import numpy as np
import trimesh
from torch import Tensor

from glann_lib.model import Glann
from glann_lib.shapes import plots as shape_plots
from glann_lib.shapes.meshes import EmptyShapeError, save_mesh, surface
from glann_lib.widgets.explorer import slider
from glann_lib.widgets.paths import SHOWN, PathWidget
from glann_lib.widgets.picture import Picture

TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])  # in binary STL
FRAMES = 33  # shapes on a path
HEIGHT = 360  # px of the view
FIELD_OF_VIEW = 30.0  # degrees, from the lower to the upper edge of the view
DISTANCE = 1.75  # of the camera from the cube's centre, in sides of the cube: a shape fills the view


def camera(turn: float) -> list[float]:
    """Where k3d's camera stands and looks, and what is up; `turn` is in degrees from the plots' view, +x towards +y."""
    side, rise = np.deg2rad(shape_plots.AZIMUTH + turn), np.deg2rad(shape_plots.ELEVATION)
    away = np.array([np.cos(rise) * np.cos(side), np.cos(rise) * np.sin(side), np.sin(rise)])
    return [*(0.5 + DISTANCE * away).tolist(), 0.5, 0.5, 0.5, 0.0, 0.0, 1.0]


def stl_of(mesh: trimesh.Trimesh | None) -> bytes:
    """A mesh as binary STL; None: without a triangle.

    k3d sometimes mixes up corners and triangles that are sent as two values. The normals are zero, as it rounds the
    surface off only where corners of different triangles are alike.
    """
    triangles = np.zeros(len(mesh.faces) if mesh else 0, TRIANGLE)
    if mesh:
        triangles["corners"] = mesh.triangles
    return bytes(80) + np.uint32(len(triangles)).astype("<u4").tobytes() + triangles.tobytes()


def surface_of(field: Tensor) -> trimesh.Trimesh | None:
    """The surface of a shape's field [S, S, S]; None where no voxel is solid."""
    try:
        return surface(field.numpy())
    except EmptyShapeError:
        return None


class ShapesWidget(PathWidget):
    """Two seeds, sliders along and around the way between their shapes, a strip, and a button that saves to `folder`.

    A ValueError refuses a model of images.
    """

    kind, prepare, pictures = "shapes", staticmethod(surface_of), staticmethod(shape_plots.render)

    def __init__(self, model: Glann, folder: Path | str = "."):
        super().__init__(model, folder, FRAMES, interval=120)
        self.turn = slider("turn", "degrees about the upright axis; the mouse turns the view, too", 180, 5, ".0f")
        self.save = ipywidgets.Button(description="save mesh (OBJ)")
        self.save.tooltip = "write the shape that is shown to a file"
        self.view, self.surface = _make_view()
        self.caption = ipywidgets.HTML()
        self.turn.observe(lambda change: self.view.set_trait("camera", camera(change.new)), "value")
        self.save.on_click(lambda _: self._save())
        controls = [self.first, self.last, self.path, self.position, self.turn, self.play, self.save]
        flexible = ipywidgets.Layout(flex="1 1 360px", max_width="560px")
        shown = ipywidgets.VBox([self.view, self.caption], layout=flexible)
        self.begin([ipywidgets.VBox(controls), shown], Picture(width=SHOWN * 90, smooth=True))

    def show(self, prepared: trimesh.Trimesh | None, part: str, request: tuple[int, int, str]) -> None:
        """Show one shape of the path."""
        self.surface.binary = stl_of(prepared)
        self.caption.value = f"<small>{part} of the way {self.way(request)}, {request[-1]}</small>"
        self.say("" if prepared else "the shape is empty: none of its voxels is solid; move on or choose another seed")

    def _save(self) -> None:
        (first, last, path), *_, mesh_at = self.shown
        position = self.position.value
        mesh = mesh_at(position)
        if mesh is None:
            self.say("nothing is saved: the shape is empty; move on or choose another seed")
        else:
            name = f"seeds-{first}-{last}-{path}-{position:02d}.obj"
            self.save_by(lambda: save_mesh(mesh, self.folder / name))


def _make_view() -> tuple[k3d.Plot, Any]:
    plain = {"background_color": 0xFFFFFF, "grid_visible": False, "axes_helper": 0, "menu_visibility": False}
    upright = {"camera_mode": "orbit", "camera_up_axis": "z", "camera_fov": FIELD_OF_VIEW}
    view = k3d.plot(height=HEIGHT, camera_auto_fit=False, **plain, **upright)  # to fit each shape would make it jump
    colour = int(shape_plots.CLAY.removeprefix("#"), 16)
    shape = k3d.stl(stl_of(None), color=colour, flat_shading=False, name="shape")
    view += shape
    view.camera = camera(0)
    return view, shape
