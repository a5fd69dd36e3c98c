"""Settings of a training that ends at once; a test replaces what it is about."""

from pdm.config.training.loop import TrainingConfig

TRAINING = TrainingConfig(
    num_workers=1,
    strategy="ddp",
    batch_size=4,
    accumulation=1,
    total_images=32,
    optimizer="adamw",
    betas=(0.9, 0.999),
    learning_rate=0.002,
    warmup_images=0,
    schedule="constant",
    weight_decay=0.0,
    max_grad_norm=1.0,
    max_skipped_steps=0,
    ema_half_life_images=8,
    ema_lengths=(),
    precision="float32",
    checkpoint_activations=False,
    compile=False,
    log_every_images=8,
    save_every_images=16,
    keep_checkpoints=1,
    keep_every_images=None,
    keep_runs=1,
    seed=0,
)
