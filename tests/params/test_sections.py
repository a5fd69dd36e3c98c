"""What sections ask of each other, and sources of their kinds."""

import pytest
from shipped_params import put


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("diffusion", "level_loss_weights"), [1.0], "level_loss_weights: expected 5 weights"),
        (("diffusion", "model", "widths"), [48] * 3, "blocks: expected 3 numbers"),
        (
            ("autoencoder", "equivariance_loss_weight"),
            -0.1,
            "autoencoder.equivariance_loss_weight: expected a number of at least 0, got -0.1",
        ),
        (
            ("curate", "height_px"),
            2048,
            "expected the shape of the crops (2048x2048 in section curate), so 64 for",
        ),
        (("autoencoder", "model", "norm"), "group", "sample.tile_px: expected null"),
        (
            ("autoencoder", "baseline"),
            {
                "name": "kl-f8",
                "base_width": 128,
                "latent_scale": "channel",
                "latent_weight": 1.0e-6,
            },
            "diffusion.level_loss_weights: expected one weight: a baseline has one level",
        ),
    ],
)
def test_sections_must_fit_each_other(refused, path, value, expected):
    assert expected in refused(put(*path, value))


def test_widths_must_fit_the_levels_of_the_other_section(refused):
    def change(values):
        values["diffusion"]["model"] |= {
            "widths": [48, 96],
            "blocks": [1, 1],
            "dropout": [0.0, 0.0],
        }

    assert "diffusion.model.widths: expected 4 widths" in refused(change)


def test_the_latents_of_ldms_network_must_have_sides_that_it_can_halve(refused):
    def change(values):
        stage = {"base_width": 128, "latent_scale": "channel", "latent_weight": 1.0e-6}
        values["autoencoder"]["baseline"] = {"name": "kl-f16"} | stage
        unet = {"name": "celeba", "base_width": 224, "predicts": "velocity"}
        values["diffusion"] |= {"baseline": unet, "level_loss_weights": [1.0]}
        values["sample"]["tile_px"] = None

    expected = "autoencoder.image_height_px: expected a multiple of 128, for kl-f16 and diffusion."
    assert expected in refused(change)


def test_a_source_is_judged_as_the_kind_that_it_names(refused):
    text = refused(put("scrape", "sources", [{"kind": "urls", "path": "list.doc"}]))
    assert "scrape.sources.0.path: expected a file ending in .txt, .csv, .parquet" in text
    assert "num_landscapes" not in text


@pytest.mark.parametrize(("kind", "written"), [("folders", "'folders'"), (3, "3"), (None, "null")])
def test_an_unknown_kind_of_source_lists_the_known_ones(refused, kind, written):
    text = refused(put("scrape", "sources", [{"kind": kind}]))
    assert text == f"scrape.sources.0.kind: expected one of builtin, urls, folder, got {written}"


@pytest.mark.parametrize("source", ["list.csv", None, []])
def test_a_source_that_is_no_mapping_is_refused(refused, source):
    assert refused(put("scrape", "sources", [source])).startswith("scrape.sources.0")


def test_scaling_latents_asks_for_pictures_that_halve(refused):
    def change(values):
        values["autoencoder"] |= {"image_height_px": 32, "equivariance_loss_weight": 0.5}

    assert (
        "autoencoder.image_height_px: expected a multiple of the largest downsampling (32), and of "
        "twice as much for equivariance_loss_weight, got 32"
    ) in refused(change)


@pytest.mark.parametrize("judge", ["network", "kind"])
def test_the_network_that_trains_the_autoencoder_must_not_judge_it(refused, judge):
    def change(values):
        name = "efficientnet-lite0"
        values["autoencoder"]["perceptual"] = {"network": name, "weight": 0.15}
        file = {"path": "lite0.pt", "sha256": "0" * 64, "convention": "clean-fid"}
        values["evaluate"]["features"] = [{judge: name} | (file if judge == "kind" else {})]

    text = refused(change)
    assert f"evaluate.features.0.{judge}: expected another network" in text
    assert "autoencoder.perceptual.network" in text
