"""Pictures, masks and maps whose files say that they are turned: all commands read them upright."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from shared.picture_files import TURN_OF_CAMERA, chunk, encoded, exif, noise, turned

from pdm import cli
from pdm.data import provenance
from pdm.data.annotations.maps import decode_map
from pdm.inference.pictures.read import read_image, read_mask
from pdm.presets import DEFAULT

XMP = '<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
NAMES = ("sky", "sea", "land")

PICTURE = noise(24, 16)
MASK = Image.fromarray(np.where(np.asarray(PICTURE)[..., 0] > 200, 255, 0).astype(np.uint8))
MAP = Image.fromarray(np.asarray(PICTURE)[..., 1] % 3)
FILES = {  # of masks
    "png": {},
    "jpg": {"quality": 100},
    "webp": {"lossless": True},
    "tif": {},
    "tiff": {"compression": "tiff_lzw"},
}


def mask_in(path: Path) -> np.ndarray:
    return read_mask(path, np.asarray(PICTURE), Path("photo.png"))


@pytest.mark.parametrize("orientation", TURN_OF_CAMERA)
@pytest.mark.parametrize("ending", FILES)
def test_a_mask_of_any_format_counts_upright(ending, orientation, tmp_path):
    path = tmp_path / f"mask.{ending}"
    turned(MASK, orientation).save(path, exif=exif(orientation), **FILES[ending])
    assert np.array_equal(mask_in(path), np.asarray(MASK) > 0)


@pytest.mark.parametrize("orientation", TURN_OF_CAMERA)
@pytest.mark.parametrize("mode", ["L", "P"])
def test_a_map_counts_upright_and_keeps_its_indices(mode, orientation):
    image = MAP.copy()
    if mode == "P":
        image.putpalette([200, 200, 255, 0, 0, 128, 0, 128, 0])
    content = encoded(turned(image, orientation), "png", exif=exif(orientation))
    assert np.array_equal(decode_map(content, NAMES), np.asarray(MAP))


def stated_by(how: str, image: Image.Image) -> bytes:
    """A PNG, or an AVIF, with an orientation where it does not count, or in XMP."""
    if how == "XMP of an AVIF":
        return encoded(image, "avif", quality=100, subsampling="4:4:4", xmp=XMP.encode())
    info = PngInfo()
    if how == "XMP of a PNG":
        info.add_itxt("XML:com.adobe.xmp", XMP)
    content = encoded(image, "png", pnginfo=info)
    if how == "EXIF after the pixels":
        late = chunk(b"eXIf", exif().tobytes().removeprefix(b"Exif\0\0"))
        content = content[:-12] + late + content[-12:]
    return content


@pytest.mark.parametrize(
    ("how", "counts"),
    [("XMP of a PNG", True), ("EXIF after the pixels", False), ("XMP of an AVIF", False)],
)
def test_whether_an_orientation_counts_does_not_depend_on_what_the_file_is(how, counts, tmp_path):
    def stored(image: Image.Image) -> Path:
        path = tmp_path / f"{image.mode}.file"
        path.write_bytes(stated_by(how, turned(image) if counts else image))
        return path

    assert read_image(stored(PICTURE)).shape == (16, 24, 3)
    assert mask_in(stored(MASK)).shape == (16, 24)
    if how != "XMP of an AVIF":
        assert np.array_equal(decode_map(stored(MAP).read_bytes(), NAMES), np.asarray(MAP))


@pytest.mark.parametrize(
    "words",
    [["inpaint"], ["upscale", "--guide-strength", "1"], ["upscale", "--size", "132x128"]],
)
def test_a_turned_picture_and_its_turned_mask_give_what_upright_ones_give(
    words, chain, tmp_path, capsys
):
    models, found = tmp_path / "models", []
    models.mkdir()
    chain.link_models(models)
    params = tmp_path / "params.yaml"
    params.write_text(DEFAULT.read_text().replace("scale: 2.5", "scale: 1.0"))
    for orientation in (1, 6):
        photo, output = (tmp_path / f"{orientation}{end}.png" for end in ("", "-drawn"))
        turned(PICTURE, orientation).save(photo, exif=exif(orientation))
        command = [words[0], photo, *words[1:], "--models", models, "--params", params]
        if words == ["inpaint"]:
            mask = tmp_path / f"{orientation}.tif"
            turned(MASK, orientation).save(mask, exif=exif(orientation))
            command += ["--mask", mask]
        assert cli.main([*map(str, command), "--steps", "2", "--output", str(output)]) == 0
        found.append(provenance.read(output)[1])
    assert found[0] == found[1]
