"""Fine-tuning by LoRA, as the stage `diffusion` runs it."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from shared.worker_groups import run_group
from test_fine_tuning import source_of
from tiny_chain import DIFFUSION, LATENTS, Chain, train_autoencoder, write_shards

from pdm.baselines.unets import LatentUNet
from pdm.config.fingerprint import fingerprint
from pdm.config.networks.condition import ConditionConfig
from pdm.config.networks.first_stage import FirstStageConfig
from pdm.config.networks.latent_unet import LatentUNetConfig
from pdm.config.networks.text import TextTransformerConfig
from pdm.config.training.lora import LoraConfig
from pdm.data.shards.latents import LatentShards
from pdm.errors import BadInput
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.inference.encode import encode_shards
from pdm.models.condition import Condition
from pdm.models.layers.lora import ADAPTER, ATTENTION_LAYERS, ORIGINAL
from pdm.models.layers.spectral_norm import bake_spectral_norms
from pdm.models.unet import PyramidUNet
from pdm.registry import load_denoiser
from pdm.training import diffusion, lora
from pdm.training.checkpoints.folder import list_checkpoints
from pdm.training.diffusion_folder import build_for_latents
from pdm.training.distributed.launchers import launch_in_process
from pdm.training.export import export_diffusion

pytestmark = pytest.mark.usefixtures("one_thread")

UNET = LatentUNetConfig(name="bsr_sr", base_width=32, predicts="noise")
LORA = LoraConfig(rank=2, alpha=4.0)
TRAINING = replace(DIFFUSION.training, total_images=16, save_every_images=8, ema_lengths=())


def config_of(chain: Chain, **changes):
    record = json.loads((chain.diffusion / "config.json").read_text())
    base = replace(DIFFUSION, score_images=0, training=TRAINING)
    if record["kind"] == "LatentUNet":
        model = replace(DIFFUSION.model, windows=None)
        base = replace(base, baseline=UNET, timesteps="ldm", level_loss_weights=(1.0,), model=model)
    return replace(base, **{"init_from": source_of(chain.diffusion), "lora": LORA} | changes)


def tune(folder, chain: Chain, **changes):
    """Run the stage; return the config."""
    config = config_of(chain, **changes)
    diffusion.train_diffusion(
        config,
        latents=chain.latents,
        autoencoder=chain.autoencoder,
        run=folder / "run",
        model=folder / "model",
        curves=folder / "curves.csv",
        build_reference_distance=ReferenceDistance,
        launch=launch_in_process,
    )
    return config


def example(network, count=2):
    """Noisy latents and times for a network."""
    torch.manual_seed(3)
    facts = network.facts
    shapes = [
        (channels, 1, 1) if factor == "global" else (channels, 32 // factor, 64 // factor)
        for channels, factor in zip(
            facts["level_channels"], facts["level_downsamplings"], strict=True
        )
    ]
    levels = len(shapes) if getattr(network.config, "has_level_times", False) else None
    t = torch.full((count,) if levels is None else (count, levels), 0.4)
    return tuple(torch.randn(count, *shape) for shape in shapes), t


def trained_with_adapters(folder, config, chain: Chain):
    """The EMA of the last checkpoint, with its adapters."""
    network = build_for_latents(config, LatentShards(chain.latents, "train"))
    network = lora.attach(network, config.lora)
    last = list_checkpoints(folder / "run")[-1]
    files = folder / "run" / "checkpoints" / f"{last:09}"
    network.load_state_dict(load_file(files / "ema.safetensors"))
    return network.eval()


@pytest.fixture(scope="module")
def ldm(tmp_path_factory) -> Chain:
    """LDM's first stage, and its denoising network with random weights."""
    folder = tmp_path_factory.mktemp("ldm")
    stage = FirstStageConfig(name="kl-f4", base_width=8, latent_weight=1e-6, latent_scale="scalar")
    shards = write_shards(folder / "shards")
    run, autoencoder = train_autoencoder(folder / "autoencoder", shards, baseline=stage)
    latents = folder / "latents"
    encode_shards(LATENTS, shards=shards, autoencoder=autoencoder, latents=latents)
    torch.manual_seed(0)
    network = LatentUNet(UNET, (3,), (4,))
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.02 * torch.randn_like(weight))  # some start at zero
    network.save_pretrained(folder / "diffusion", beside=[shards / "pictures.txt"])
    return Chain(shards, autoencoder, latents, folder / "diffusion", run, run)


def test_a_model_of_one_shape_is_tuned_on_many(chain, bucket_chain, tmp_path):
    tune(tmp_path, bucket_chain, init_from=source_of(chain.diffusion))
    record = json.loads((tmp_path / "model" / "config.json").read_text())
    assert len(record["buckets"]) == 3
    log = (tmp_path / "run" / "events.jsonl").read_text()
    assert all(f"val_loss_bucket_{size}" in log for size in ("32x16", "16x16", "16x32"))
    weights = load_file(tmp_path / "model" / "lora" / "adapter_model.safetensors")
    assert all(values.any() for values in weights.values())  # those that start at zero have moved


@pytest.mark.parametrize("kind", ["pyramid", "ldm"])
def test_the_model_is_merged_and_its_base_stays_to_the_bit(kind, request, tmp_path, caplog):
    caplog.set_level("INFO", logger="pdm")
    chain = request.getfixturevalue("chain" if kind == "pyramid" else "ldm")
    config = tune(tmp_path, chain)
    tuned = trained_with_adapters(tmp_path, config, chain)

    loaded = load_denoiser(chain.diffusion).to(memory_format=torch.channels_last)  # as in training
    base = bake_spectral_norms(loaded).state_dict()
    state = tuned.state_dict()
    adapted = {name.removesuffix(ORIGINAL) for name in state if name.endswith(ORIGINAL)}
    for name, tensor in base.items():
        layer = name.removesuffix(".weight")
        found = state[f"{layer}{ORIGINAL}"] if layer in adapted else state[name]
        assert torch.equal(found, tensor)

    merged = load_denoiser(tmp_path / "model")
    pyramid, t = example(merged)
    with torch.no_grad():
        outputs = [network(pyramid, t) for network in (merged, tuned)]
        before = load_denoiser(chain.diffusion)(pyramid, t)
    for one, other in zip(*outputs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    assert max((a - b).abs().max() for a, b in zip(before, outputs[0], strict=True)) > 1e-4

    trained = sum(tensor.numel() for name, tensor in state.items() if ADAPTER in name)
    stay = sum(one.numel() for one in merged.parameters())
    [line] = {one for one in caplog.messages if "LoRA" in one}
    assert f"LoRA of rank 2 on {len(adapted)} layers trains {trained:,} weights" in line
    assert f"of the {stay:,} that stay" in line
    record = json.loads((tmp_path / "model" / "config.json").read_text())
    assert record["lora"] == {"rank": 2, "alpha": 4.0, "targets": ["attention"]}
    assert record["parameters"] == stay


def test_attention_alone_is_adapted_unless_layers_are_named(chain, ldm):
    for each, end in ((chain, "query_key_value"), (ldm, "to_out.0")):
        shards = LatentShards(each.latents, "train")
        config = config_of(each)
        network = lora.attach(build_for_latents(config, shards), LORA)
        ends = {
            name.removesuffix(ORIGINAL).split("attention")[-1]
            for name in network.state_dict()
            if name.endswith(ORIGINAL)
        }
        assert any(one.endswith(end) for one in ends)
        assert not any("conv" in one for one in ends)
    named = LoraConfig(rank=1, alpha=1.0, targets=("conv_in",))
    network = lora.attach(
        build_for_latents(config_of(chain), LatentShards(chain.latents, "train")), named
    )
    found = [name for name in network.state_dict() if name.endswith(ORIGINAL)]
    assert found
    assert all(f"conv_in{ORIGINAL}" in name for name in found)


def text_networks():
    """Networks that read text, with random weights everywhere."""
    text = TextTransformerConfig(
        vocabulary_size=9, max_tokens=4, width=8, depth=1, num_heads=2, head_width=4
    )
    sizes = ConditionConfig(num_classes=0, token_width=8, map_channels=0, text=text)
    ours = replace(DIFFUSION.model, windows=None, condition=sizes)
    ldms = replace(UNET, name="txt2img", token_width=8, text=text)
    torch.manual_seed(0)
    found = (
        PyramidUNet(ours, (6, 4, 3), ("global", 8, 4)),
        LatentUNet(ldms, (3,), (4,)),
    )
    for network in found:
        with torch.no_grad():
            for weight in network.parameters():
                weight.add_(0.05 * torch.randn_like(weight))
    return found


def test_a_text_encoder_is_not_adapted_and_cross_attention_is():
    for network in text_networks():
        network = lora.attach(network, LORA).eval()
        names = [name.removesuffix(ORIGINAL) for name in network.state_dict() if ORIGINAL in name]
        assert not any(name.startswith("text.") for name in names)
        assert any("reading.key_value" in name or "attn2.to_k" in name for name in names)
        with torch.no_grad():
            for name, weight in network.named_parameters():
                if weight.requires_grad and name.endswith(".up"):
                    weight.add_(0.05 * torch.randn_like(weight))
            pyramid, t = example(network)
            texts = Condition(tokens=torch.tensor([[1, 2, 3, 0], [4, 5, 6, 7]]))
            texts = replace(texts, mask=texts.tokens > 0)
            merged = lora.merge(network, LORA)
            outputs = [one(pyramid, t, texts) for one in (merged, network)]
        for one, other in zip(*outputs, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_a_network_without_attention_needs_other_targets():
    plain = replace(DIFFUSION.model, attention_from=64)
    network = PyramidUNet(plain, (6, 4, 3), ("global", 8, 4))
    with pytest.raises(BadInput, match=r"lora\.targets: the network has no attention; .* such as"):
        lora.attach(network, LORA)


def test_a_resumed_tuning_ends_with_the_bits_of_an_unbroken_one(chain, tmp_path):
    lengths = {"broken": (8, 16), "unbroken": (16,)}
    model = replace(DIFFUSION.model, dropout_falls=False)
    for name, each in lengths.items():
        for total_images in each:
            training = replace(TRAINING, total_images=total_images)
            tune(tmp_path / name, chain, training=training, model=model)
    for file in ("model.safetensors", "config.json", "lora/adapter_model.safetensors"):
        broken, unbroken = ((tmp_path / name / "model" / file).read_bytes() for name in lengths)
        assert broken == unbroken


def work(workers, settings):
    diffusion.train_on_worker(settings, workers)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_workers_train_the_same_model_as_one(strategy, chain, tmp_path):
    found = []
    for count, how in ((1, "ddp"), (2, strategy)):
        folder = tmp_path / str(count)
        training = replace(TRAINING, num_workers=count, strategy=how, ema_lengths=(0.1,))
        still = replace(DIFFUSION.model, dropout=(0.0, 0.0))  # each worker draws its own
        config = config_of(chain, training=training, model=still)
        run = diffusion.run_folder(config, latents=chain.latents, runs=folder)
        run.mkdir(parents=True)
        settings = diffusion.Settings(
            config, ReferenceDistance, chain.latents, run, folder / "model", chain.autoencoder
        )
        assert run_group(count, work, settings) == [None] * count
        is_sharded = (run / "checkpoints" / "000000016" / "shards").is_dir()
        assert is_sharded == (how == "fsdp")
        export_diffusion(
            config,
            latents=chain.latents,
            runs=folder,
            run=None,
            images_seen=16,
            model=folder / "exported",
        )
        names = ("model.safetensors", "lora/adapter_model.safetensors", "ema/000000016-0.1")
        files = [next((folder / "model").glob(f"{name}*")) for name in names]
        found.append([load_file(file) for file in files])
        assert (folder / "exported" / names[0]).read_bytes() == files[0].read_bytes()
    for one, other in zip(*found, strict=True):
        for name, tensor in one.items():
            torch.testing.assert_close(other[name].float(), tensor.float(), atol=1e-4, rtol=1e-2)


def test_a_source_of_another_shape_and_an_unknown_layer_are_refused(chain, tmp_path):
    wider = replace(DIFFUSION.model, widths=(8, 12))
    with pytest.raises(BadInput, match=r"diffusion\.lora needs a network whose weights all come"):
        tune(tmp_path / "wider", chain, model=wider)
    unknown = LoraConfig(rank=2, alpha=2.0, targets=("to_q",))
    with pytest.raises(BadInput, match=r"lora\.targets: .* ends in 'to_q'; .*query_key_value"):
        tune(tmp_path / "unknown", chain, lora=unknown)


def test_a_rank_that_no_layer_can_have_is_refused(chain, tmp_path):
    network = load_denoiser(chain.diffusion)
    largest = max(min(weight.flatten(1).shape) for weight in attention_weights(network))
    words = rf"diffusion\.lora\.rank is 1,000, but .* at most rank {largest}; choose"
    with pytest.raises(BadInput, match=words):
        tune(tmp_path, chain, lora=LoraConfig(rank=1000, alpha=2.0))
    lora.adapt(network, LoraConfig(rank=largest, alpha=2.0))


def attention_weights(network):
    named = network.named_modules()
    return [layer.weight for name, layer in named if name.endswith(ATTENTION_LAYERS)]


def test_settings_that_cannot_be_met_are_refused_before_any_work(chain):
    with pytest.raises(ValueError, match="init_from: expected a trained model"):
        config_of(chain, init_from=None)
    with pytest.raises(ValueError, match="rank"):
        LoraConfig(rank=0, alpha=1.0)


def test_lora_is_part_of_a_runs_name_and_none_keeps_the_name(chain):
    without = config_of(chain, lora=None)
    names = {fingerprint(config_of(chain)), fingerprint(without)}
    names.add(fingerprint(config_of(chain, lora=replace(LORA, rank=4))))
    assert len(names) == 3
