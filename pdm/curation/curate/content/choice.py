"""Which network computes embeddings."""

from pdm.config.stages.curate import ContentModelConfig, CurateConfig

BUILT_IN = "efficientnet-lite0"


def model_of(config: CurateConfig) -> ContentModelConfig | None:
    """The user's network, if there is one."""
    return config.content.model if config.content else None


def embedding_network(config: CurateConfig) -> str | None:
    """Name of the network that computes embeddings, or None. Equal names, equal embeddings."""
    model = model_of(config)
    if model:
        return model.sha256
    return BUILT_IN if config.content else None
