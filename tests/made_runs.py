"""Figures, tables and scores as a run leaves them, for the tests of what shows or publishes them."""

from PIL import Image

from glann_lib.engine import storage

DATA = {"name": "fashion", "count": 5000, "sha256": "01ab3b54" * 8, "source": "a_b | c", "split": "train"}
RECORD = {
    "caption": "Samples [G(T(e))] of *fashion*",
    "config": {"data": {"dataset": "fashion"}, "profile": "quick"},
    "commit": "0123456789abcdef",
    "uncommitted_changes": False,
    "time": "2026-01-02T03:04:05+00:00",
    "device": "cpu (x86_64, 2 cores)",
    "data": DATA,
}
TABLE = "| model | score |\n|:--|--:|\n| GLANN | 8.6 |\n"


def write_figure(run, name, suffix=".png", **record):
    (run / "figures").mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (1, 1), "white").save(run / "figures" / f"{name}{suffix}")
    storage.write_json(run / "figures" / f"{name}.json", RECORD | record)


def write_table(run, name, **record):
    for suffix, text in ((".csv", "model,score\nGLANN,8.6\n"), (".md", TABLE), (".tex", "\\begin{tabular}")):
        storage.write_text(run / "tables" / f"{name}{suffix}", text)
    storage.write_json(run / "tables" / f"{name}.json", RECORD | {"caption": f"Scores of {name}"} | record)


def write_score(run, name, notebook="05_fid_prd_tables", **origin):
    record = {"value": 8.6, "provenance": RECORD | {"notebook": notebook} | origin}
    storage.write_json(run / "scores" / f"{name}.json", record)
    storage.write_bytes(run / "scores" / f"{name}.safetensors", b"samples")
