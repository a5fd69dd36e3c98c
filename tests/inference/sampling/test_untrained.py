from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pdm import cli, params, presets
from pdm.inference.sample import sample_images
from pdm.inference.untrained import write_untrained


@pytest.mark.parametrize("preset", ["task-inpainting", "task-semantic"])
def test_models_of_a_task_need_no_data_to_say_what_a_size_costs(preset, tmp_path):
    config = presets.load(preset)
    folders = {name: tmp_path / name for name in ("autoencoder", "diffusion")}
    write_untrained(config, **folders)
    sample_images(
        replace(config.sample, num_images=1, steps=1, full_size_picture=False),
        **folders,
        shards=tmp_path / "none",
        samples=tmp_path / "samples",
    )
    assert Image.open(tmp_path / "samples" / "000000.png").size == (128, 64)


def test_models_with_random_weights_draw_pictures_of_the_right_size(tmp_path, capsys):
    folders = {name: tmp_path / name for name in ("autoencoder", "diffusion")}
    words = [word for name, path in folders.items() for word in (f"--{name}", str(path))]
    assert cli.main(["untrained", *words]) == 0
    config = params.load(Path("params.yaml")).sample
    changes = {"num_images": 1, "steps": 1, "full_size_picture": False, "tile_px": 64}
    sample_images(
        replace(config, **changes),
        **folders,
        shards=tmp_path / "none",
        samples=tmp_path / "samples",
    )
    assert Image.open(tmp_path / "samples" / "000000.png").size == (128, 64)
    assert cli.main(["untrained", *words]) == 2
    assert "exists; name a new folder" in capsys.readouterr().err
