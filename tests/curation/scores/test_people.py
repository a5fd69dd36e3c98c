import numpy as np
import pytest
from curation_pictures import CURATE, but
from portraits import meadow, paste_person

from pdm.config.stages.curate import PeopleConfig
from pdm.curation.curate.framing.frame import frame
from pdm.curation.curate.framing.people import crop_around
from pdm.data.decoding.pixels import Box

PEOPLE = PeopleConfig(min_faces=1, max_faces=4, min_face_share=0.12)
SQUARE = but(CURATE, width_px=256, height_px=256, people=PEOPLE)


def framed(picture, config=SQUARE):
    return frame(np.asarray(picture), picture.size, config)


def holds(crop, face):
    left, top, width, height = face
    return (
        crop.left_px <= left + 0.1 * width
        and crop.left_px + crop.width_px >= left + 0.9 * width
        and crop.top_px <= top + 0.1 * height
        and crop.top_px + crop.height_px >= top + 0.9 * height
    )


@pytest.mark.parametrize("left", [20, 260, 520])
def test_the_crop_follows_the_person_along_a_wide_picture(left):
    picture = meadow(640, 300)
    face = paste_person(picture, 0, 80, left, 60)
    crop = framed(picture).crop
    assert (crop.width_px, crop.height_px) == (300, 300)
    assert holds(crop, face)
    if left == 260:
        assert crop.left_px + 150 == pytest.approx(left + 30, abs=12)


@pytest.mark.parametrize("top", [40, 250, 520])
def test_the_crop_follows_the_person_along_a_tall_picture(top):
    picture = meadow(300, 640)
    face = paste_person(picture, 1, 80, 100, top)
    crop = framed(picture).crop
    assert holds(crop, face)
    if top == 250:  # eyes on the upper third
        assert top + 0.42 * 80 - crop.top_px == pytest.approx(100, abs=12)


def test_there_is_room_above_the_head():
    picture = meadow(300, 640)
    paste_person(picture, 1, 120, 80, 200)
    assert framed(picture).crop.top_px <= 200 - 0.4 * 120


def test_two_people_who_fit_are_both_kept():
    picture = meadow(640, 300)
    faces = [paste_person(picture, 0, 60, 200, 80), paste_person(picture, 1, 70, 330, 80)]
    crop = framed(picture).crop
    assert all(holds(crop, face) for face in faces)


def test_of_two_people_too_far_apart_the_larger_is_kept_and_the_other_not_cut():
    picture = meadow(700, 300)
    small = paste_person(picture, 0, 60, 40, 80)
    large = paste_person(picture, 1, 90, 560, 80)
    crop = framed(picture).crop
    assert holds(crop, large)
    assert crop.left_px >= small[0] + small[2]


def test_a_small_face_brings_the_crop_closer_but_never_below_the_finished_size():
    picture = meadow(640, 600)
    face = paste_person(picture, 1, 40, 300, 200)
    crop = framed(picture).crop
    assert 256 <= crop.height_px < 400
    assert holds(crop, face)


def test_passers_by_in_the_background_do_not_move_the_crop():
    picture = meadow(700, 300)
    face = paste_person(picture, 1, 100, 80, 70)
    paste_person(picture, 0, 24, 600, 150)
    found = framed(picture)
    assert len(found.faces) == 2
    assert holds(found.crop, face)


def test_a_face_over_the_rim_of_the_picture_cannot_be_kept_whole():
    content = Box(0, 0, 600, 400)
    assert crop_around((Box(-40, 100, 100, 130),), content, (256, 256), PEOPLE) is None


def test_a_face_larger_than_the_crop_cannot_be_kept_whole():
    content = Box(0, 0, 600, 300)
    assert crop_around((Box(100, 0, 330, 300),), content, (256, 256), PEOPLE) is None


def test_no_place_between_two_faces_that_overlap_is_a_cut():
    content = Box(0, 0, 620, 300)
    one, other = Box(0, 50, 160, 200), Box(150, 50, 160, 199)
    assert crop_around((one, other), content, (256, 256), PEOPLE) is None


def test_without_a_face_the_content_places_the_crop():
    picture = meadow(640, 300)
    found = framed(picture)
    assert found.faces == ()
    assert found.crop == framed(picture, but(SQUARE, people=None)).crop


def test_no_face_is_looked_for_where_people_do_not_matter():
    picture = meadow(640, 300)
    paste_person(picture, 0, 80, 200, 60)
    assert framed(picture, CURATE).faces == ()


def test_faces_are_in_pixels_of_the_full_picture_also_within_borders():
    picture = meadow(640, 440)
    for band in ((0, 0, 640, 60), (0, 380, 640, 440)):
        picture.paste("black", band)
    inner = picture.crop((0, 60, 640, 380))
    box = paste_person(inner, 1, 90, 300, 60)
    picture.paste(inner, (0, 60))
    found = frame(np.asarray(picture), (1280, 880), SQUARE)
    [face] = found.faces
    assert face.left_px == pytest.approx(2 * box[0], abs=20)
    assert face.top_px == pytest.approx(2 * (box[1] + 60), abs=20)
    assert found.crop.top_px >= 120


def test_a_mirrored_picture_has_the_mirrored_crop():
    content = Box(0, 0, 800, 300)
    face, mirrored = Box(100, 50, 60, 80), Box(640, 50, 60, 80)
    crop = crop_around((face,), content, (256, 256), PEOPLE)
    other = crop_around((mirrored,), content, (256, 256), PEOPLE)
    assert crop.left_px == pytest.approx(800 - other.left_px - other.width_px, abs=1)
    assert crop.top_px == other.top_px
