import numpy as np
import pytest
from curation_pictures import scene
from portraits import meadow, paste_person, portraits

from pdm.curation.curate.framing.faces import find_faces
from pdm.curation.scrape.drawing.landscapes import draw


def overlap(face, box):
    left, top, width, height = box
    across = min(face.left + face.width, left + width) - max(face.left, left)
    down = min(face.top + face.height, top + height) - max(face.top, top)
    common = max(across, 0) * max(down, 0)
    return common / (face.width * face.height + width * height - common)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("face_height", [32, 64, 150, 280])
def test_a_face_is_found_where_it_is(which, face_height, mirrored):
    picture = meadow(640, 400)
    box = paste_person(picture, which, face_height, 250, 60, mirrored)
    [face] = find_faces(np.asarray(picture))
    assert overlap(face, box) > 0.6


@pytest.mark.parametrize("degrees", [-15, 15])
def test_a_tilted_head_is_found(degrees):
    for portrait, _ in portraits():
        assert len(find_faces(np.asarray(portrait.rotate(degrees)))) == 1


def test_everybody_in_a_group_is_found_largest_first():
    picture = meadow(640, 400)
    boxes = [
        paste_person(picture, 0, 40, 40, 100),
        paste_person(picture, 1, 60, 200, 100),
        paste_person(picture, 0, 90, 380, 100, mirrored=True),
        paste_person(picture, 1, 35, 560, 100),
    ]
    faces = find_faces(np.asarray(picture))
    heights = [face.height for face in faces]
    assert len(faces) == 4
    assert heights == sorted(heights, reverse=True)
    assert all(max(overlap(face, box) for face in faces) > 0.5 for box in boxes)


def test_a_face_in_grey_is_found():
    portrait, _ = portraits()[1]
    assert len(find_faces(np.asarray(portrait.convert("L").convert("RGB")))) == 1


@pytest.mark.parametrize("index", range(6))
def test_landscapes_and_patterns_hold_no_face(index):
    assert find_faces(draw(1, index, 480, 270)) == []
    assert find_faces(np.asarray(scene(index, 480, 270))) == []


@pytest.mark.parametrize("shape", [(1, 1, 3), (11, 400, 3), (300, 19, 3)])
def test_a_tiny_picture_holds_none(shape):
    assert find_faces(np.zeros(shape, np.uint8)) == []


def test_a_face_found_twice_is_the_same():
    portrait, _ = portraits()[0]
    assert find_faces(np.asarray(portrait)) == find_faces(np.asarray(portrait))
