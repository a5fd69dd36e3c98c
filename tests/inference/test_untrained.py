from dataclasses import replace
from pathlib import Path

from PIL import Image

from pdm import cli, params
from pdm.inference.sample import sample_pictures


def test_models_with_random_weights_draw_pictures_of_the_right_size(tmp_path, capsys):
    folders = {name: tmp_path / name for name in ("autoencoder", "diffusion")}
    words = [word for name, path in folders.items() for word in (f"--{name}", str(path))]
    assert cli.main(["untrained", *words]) == 0
    config = params.load(Path("params.yaml")).sample
    changes = {"num_images": 1, "steps": 1, "full_size_picture": False, "tile_px": 64}
    sample_pictures(
        replace(config, **changes),
        **folders,
        shards=tmp_path / "none",
        samples=tmp_path / "samples",
    )
    assert Image.open(tmp_path / "samples" / "000000.png").size == (128, 64)
    assert cli.main(["untrained", *words]) == 2
    assert "exists; name a new folder" in capsys.readouterr().err
