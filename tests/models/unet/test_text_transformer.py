"""The text encoder that is trained with the network."""

import torch

from pdm.config.networks.text import TextTransformerConfig
from pdm.models.text import TextTransformer

SMALL = TextTransformerConfig(
    vocabulary_size=20, max_tokens=8, width=12, depth=2, num_heads=2, head_width=4
)
LDM = TextTransformerConfig(
    vocabulary_size=30_522, max_tokens=77, width=1280, depth=32, num_heads=8, head_width=64
)


def test_the_published_size_has_the_published_number_of_parameters():
    """LDM's text model has 1.45 billion: 872,300,484 in the network, the rest here and in the
    projection to logits, (1280 + 1) x 30522, which conditioning never uses."""
    with torch.device("meta"):
        count = sum(weight.numel() for weight in TextTransformer(LDM).parameters())
    assert count == 542_895_360
    assert round((872_300_484 + count + 1281 * 30_522) / 1e9, 2) == 1.45


def test_padding_changes_no_token():
    torch.manual_seed(0)
    network = TextTransformer(SMALL).eval()
    ids = torch.tensor([[2, 7, 9, 3, 0, 0], [2, 5, 3, 0, 0, 0]])
    mask = torch.tensor([[True] * 4 + [False] * 2, [True] * 3 + [False] * 3])
    with torch.no_grad():
        together = network(ids, mask)
        other = network(torch.where(mask, ids, 11), mask)
        for row, count in ((0, 4), (1, 3)):
            alone = network(ids[[row], :count], mask[[row], :count])[0]
            torch.testing.assert_close(together[row, :count], alone)
            assert torch.equal(together[row, :count], other[row, :count])


def test_every_parameter_learns():
    network = TextTransformer(SMALL)
    ids = torch.arange(8)[None]
    network(ids, torch.ones(1, 8, dtype=torch.bool)).square().sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
