import json
from dataclasses import replace

import pytest
from tiny_chain import AUTOENCODER, write_shards

from pdm.config.networks.first_stage import FirstStageConfig
from pdm.config.stages.autoencoder import AdversarialConfig, PerceptualConfig
from pdm.data.shards import manifest
from pdm.registry import build_autoencoder
from pdm.training.monitoring.model_card import autoencoder_card, licences_of


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("carded") / "shards")


def card_of(shards, scores=(10.5, 11.25, 12.0), **changes):
    config = replace(AUTOENCODER, **changes)
    return autoencoder_card(
        build_autoencoder(config),
        config,
        shards,
        psnr_by_levels=scores,
        redundancy_by_level=[0.0, 0.25, 0.5][: len(scores)],
        images_seen=config.training.total_images,
    )


def test_a_trained_model_brings_its_card(chain):
    card = (chain.autoencoder / "README.md").read_text()
    record = json.loads((chain.autoencoder / "config.json").read_text())
    assert f"`{manifest.digest(chain.shards)}`" in card
    assert f"Parameters: {record['parameters']:,}." in card
    for count, psnr in enumerate(record["val_psnr_by_levels"], start=1):
        assert f"| {count} | {psnr:.2f} |" in card
    for share in record["redundancy_by_level"]:
        assert f"| {share:.2f} |" in card


def test_it_names_size_levels_and_data(shards):
    card = card_of(shards)
    assert "# Pyramid autoencoder for images of 32x16" in card
    for line in (
        "| global | 1x1, 6 | 6 | 0.00 |",
        "| 8 | 2x4, 4 | 32 | 0.25 |",
        "| 4 | 4x8, 3 | 96 | 0.50 |",
    ):
        assert line in card
    assert "Images: 5 train, 2 val" in card


def test_it_names_what_judged_the_model(shards):
    plain = card_of(shards)
    assert "discriminator" not in plain
    assert "perceptual" not in plain
    card = card_of(
        shards,
        perceptual=PerceptualConfig(path="lpips.pt", sha256="ab" * 32, weight=0.5),
        adversarial=AdversarialConfig(
            start_images=50_000, weight=0.5, width=8, num_layers=2, learning_rate=1e-3
        ),
    )
    assert f"0.5 x a perceptual network (sha256 {'ab' * 32})" in card
    assert "a discriminator of patches from 50,000 images on" in card


def test_it_says_what_a_projected_discriminator_sees(shards):
    card = card_of(
        shards,
        perceptual=PerceptualConfig(network="efficientnet-lite0", weight=1.0),
        adversarial=AdversarialConfig(
            kind="projected", start_images=0, weight=0.1, width=8, learning_rate=1e-3
        ),
    )
    assert "0.1 x a discriminator of these features, from the first image on" in card


def test_a_first_stage_of_ldm_has_one_level(shards):
    baseline = FirstStageConfig(
        name="kl-f4", base_width=8, latent_scale="channel", latent_weight=1e-6
    )
    card = card_of(shards, (20.0,), baseline=baseline)
    assert "# First stage kl-f4 for images of 32x16" in card
    assert "| 4 | 4x8, 3 | 96 |" in card


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"license": ["CC0-1.0", "not stated"]}', ["CC0-1.0", "not stated"]),
        ('{"license": "CC0-1.0"}', ["CC0-1.0"]),
        ("{}", []),
        ("[]", []),
        ("not json", []),
    ],
)
def test_licences_come_from_the_description_of_the_data(tmp_path, text, expected):
    (tmp_path / "croissant.json").write_text(text)
    assert licences_of(tmp_path) == expected


def test_missing_licences_are_reported_as_not_known(shards, tmp_path):
    assert licences_of(tmp_path) == []
    assert "Licences stated by their sources: not known." in card_of(shards)


def test_what_sources_state_is_no_markup(shards):
    path = shards / "croissant.json"
    path.write_text(json.dumps({"license": ["<script>", "CC0-1.0"]}))
    card = card_of(shards)
    path.unlink()
    assert "&lt;script&gt;, CC0-1.0." in card
