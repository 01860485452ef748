"""A released model's card."""

DIGITS = {
    "name": "tiny", "file": "model.safetensors", "sha256": "ab" * 32, "bytes": 3 * 2**20, "format": "float16",
    "released_by": "python -m glann_lib.companion.release results/digits-quick tiny", "kind": "images",
    "image_shape": [1, 28, 28], "training_images": 1500, "licence": "CC BY 4.0", "profile": "quick", "seed": 3,
    "data": {"name": "digits", "source": "scikit-learn|UCI", "sha256": "cd" * 32}, "precision": "bfloat16",
    "settings": {"glo": {"epochs": 32, "loss": "random-vgg16"}, "imle": {"epochs": 600}}, "commit": "0123abc",
    "uncommitted_changes": False, "time": "2026-11-22T09:28:00+00:00", "hardware": "cpu (x86_64, 2 cores)",
    "versions": {"torch": "2.15.0", "python": "3.11.7"}, "made_by": "./run_all.sh --dataset digits --seed 3",
    "purpose": "For trying out.", "limits": "Few epochs.", "scored": 297, "real": {"frechet": 0.03, "support": 1e9},
    "difference": {"mean": 0.0075, "largest": 1, "samples": 1000},
    "scores": [
        {"of": of, "metric": metric, "name": name, "unit": unit, "better": better, "value": value}
        for of, values in (("float32", (0.25, 31219.0)), ("released", (0.26, float("inf"))))
        for (metric, name, unit, better), value in zip(
            (
                ("frechet", "Fréchet distance", "squared feature units", "lower"),
                ("support", "Support", "images", "higher"),
            ),
            values, strict=True,
        )
    ],
}  # fmt: skip
