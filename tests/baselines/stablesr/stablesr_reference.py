"""StableSR's networks restated: functions of a dictionary of published weights.

From the paper (Wang et al., arXiv:2305.07015, sections 3.1 and 3.3) and those it builds on: latent
diffusion's UNet, SPADE (arXiv:1903.07291, equation 1) and ESRGAN's dense blocks.
"""

import math

import torch
from torch.nn import functional as F


class Weights:
    """The weights below a prefix."""

    def __init__(self, tensors, prefix=""):
        self.tensors, self.prefix = tensors, prefix

    def __truediv__(self, name):
        return Weights(self.tensors, f"{self.prefix}{name}.")

    def __contains__(self, name):
        return any(each.startswith(f"{self.prefix}{name}.") for each in self.tensors)

    def get(self, name):
        return self.tensors.get(f"{self.prefix}{name}")

    def conv(self, x, stride=1):
        weight = self.get("weight")
        return F.conv2d(x, weight, self.get("bias"), stride, weight.shape[-1] // 2)

    def linear(self, x):
        return F.linear(x, self.get("weight").flatten(1), self.get("bias"))

    def group_norm(self, x, groups=32, eps=1e-5):
        """Of (B, C, ...): over the values of a group of channels."""
        parts = x.reshape(len(x), groups, -1)
        variance, mean = torch.var_mean(parts, dim=2, correction=0, keepdim=True)
        normed = ((parts - mean) / (variance + eps).sqrt()).view_as(x)
        shape = (1, -1, *[1] * (x.ndim - 2))
        return normed * self.get("weight").view(shape) + self.get("bias").view(shape)

    def layer_norm(self, x):
        return F.layer_norm(x, x.shape[-1:], self.get("weight"), self.get("bias"), 1e-5)


def embed(weights, steps):
    width = weights.get("0.weight").shape[1]
    rates = 10_000 ** -(torch.arange(width // 2) / (width // 2))
    angles = steps[:, None] * rates
    waves = torch.cat([angles.cos(), angles.sin()], dim=1)
    return (weights / "2").linear(F.silu((weights / "0").linear(waves)))


def modulate(weights, x, maps):
    hidden = F.relu((weights / "mlp_shared.0").conv(maps[x.shape[-1]]))
    normed = (weights / "param_free_norm").group_norm(x)
    return normed * (1 + (weights / "mlp_gamma").conv(hidden)) + (weights / "mlp_beta").conv(hidden)


def res_block(weights, x, time, maps):
    branch = (weights / "in_layers.2").conv(F.silu((weights / "in_layers.0").group_norm(x)))
    branch = branch + (weights / "emb_layers.1").linear(F.silu(time))[:, :, None, None]
    branch = (weights / "out_layers.3").conv(F.silu((weights / "out_layers.0").group_norm(branch)))
    if "spade" in weights:
        branch = modulate(weights / "spade", branch, maps)
    skip = weights / "skip_connection"
    return branch + (skip.conv(x) if skip.get("weight") is not None else x)


def attend(query, key, value):
    """Each (B, heads, tokens, channels)."""
    scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1])
    return scores.softmax(dim=-1) @ value


def self_attention(weights, x, num_heads):
    count, width, height, across = x.shape
    cells = (weights / "norm").group_norm(x).flatten(2).transpose(1, 2)
    joined = (weights / "qkv").linear(cells).view(count, -1, num_heads, 3, width // num_heads)
    read = attend(*(joined[:, :, :, part].transpose(1, 2) for part in range(3)))
    cells = (weights / "proj_out").linear(read.transpose(1, 2).flatten(2))
    return x + cells.transpose(1, 2).view(count, width, height, across)


def read_tokens(weights, x, tokens, head_width):
    def heads(part, of):
        return (weights / part).linear(of).unflatten(2, (-1, head_width)).transpose(1, 2)

    found = attend(heads("to_q", x), heads("to_k", tokens), heads("to_v", tokens))
    return (weights / "to_out.0").linear(found.transpose(1, 2).flatten(2))


def transformer(weights, x, text, head_width):
    cells = (weights / "norm").group_norm(x, eps=1e-6).flatten(2).transpose(1, 2)
    cells, block = (weights / "proj_in").linear(cells), weights / "transformer_blocks.0"
    normed = (block / "norm1").layer_norm(cells)
    cells = cells + read_tokens(block / "attn1", normed, normed, head_width)
    cells = cells + read_tokens(
        block / "attn2", (block / "norm2").layer_norm(cells), text, head_width
    )
    value, gate = (block / "ff.net.0.proj").linear((block / "norm3").layer_norm(cells)).chunk(2, 2)
    cells = cells + (block / "ff.net.2").linear(value * F.gelu(gate))
    return x + (weights / "proj_out").linear(cells).transpose(1, 2).view_as(x)


def block(weights, x, time, maps, text, head_width, num_heads):
    number = 0
    while str(number) in weights:
        layer = weights / str(number)
        if "in_layers" in layer:
            x = res_block(layer, x, time, maps)
        elif "proj_in" in layer:
            x = transformer(layer, x, text, head_width)
        elif "qkv" in layer:
            x = self_attention(layer, x, num_heads)
        elif "op" in layer:
            x = (layer / "op").conv(x, stride=2)
        elif "conv" in layer:
            x = (layer / "conv").conv(x.repeat_interleave(2, 2).repeat_interleave(2, 3))
        else:
            x = layer.conv(x)
        number += 1
    return x


def encode(weights, latent, steps, num_heads):
    """The time-aware encoder: maps by their width."""
    weights = Weights(weights)
    time, x, found = embed(weights / "time_embed", steps), latent, {}
    for number in range(12):
        x = block(weights / f"input_blocks.{number}", x, time, {}, None, 0, num_heads)
        found[x.shape[-1]] = x  # the last of each width
    found[x.shape[-1]] = block(weights / "middle_block", x, time, {}, None, 0, num_heads)
    return {
        width: res_block(weights / f"fea_tran.{number}", x, time, {})
        for number, (width, x) in enumerate(found.items())
    }


def predict(weights, latent, steps, text, maps, head_width):
    """The UNet."""
    weights = Weights(weights)
    time, x, skips = embed(weights / "time_embed", steps), latent, []
    for number in range(12):
        name = f"input_blocks.{number}"
        x = block(weights / name, x, time, maps, text, head_width, 0)
        skips.append(x)
    x = block(weights / "middle_block", x, time, maps, text, head_width, 0)
    for number in range(12):
        x = torch.cat([x, skips.pop()], dim=1)
        x = block(weights / f"output_blocks.{number}", x, time, maps, text, head_width, 0)
    return (weights / "out.2").conv(F.silu((weights / "out.0").group_norm(x)))


def plain_res_block(weights, x, groups, shortcut):
    branch = (weights / "conv1").conv(F.silu((weights / "norm1").group_norm(x, groups, 1e-6)))
    branch = (weights / "conv2").conv(F.silu((weights / "norm2").group_norm(branch, groups, 1e-6)))
    return branch + ((weights / shortcut).conv(x) if shortcut in weights else x)


def dense_block(weights, x):
    seen = [x]
    for number in range(1, 5):
        grown = (weights / f"conv{number}").conv(torch.cat(seen, dim=1))
        seen.append(torch.where(grown > 0, grown, 0.2 * grown))
    return x + 0.2 * (weights / "conv5").conv(torch.cat(seen, dim=1))


def fuse(weights, of_picture, of_decoder, groups):
    x = torch.cat([of_picture, of_decoder], dim=1)
    x = plain_res_block(weights / "encode_enc_1", x, groups, "conv_out")
    for group in range(2):
        added = x
        for number in (1, 2, 3):
            added = dense_block(weights / f"encode_enc_2.{group}.rdb{number}", added)
        x = x + 0.2 * added
    return plain_res_block(weights / "encode_enc_3", x, groups, "conv_out")


def decode_beside(weights, latent, picture, fusion_weight, groups):
    """The decoder with controllable feature wrapping, of a latent that is not scaled."""
    weights, features = Weights(weights), []
    x = (weights / "encoder.conv_in").conv(picture)
    for level in range(3):
        for number in range(2):
            x = plain_res_block(
                weights / f"encoder.down.{level}.block.{number}", x, groups, "nin_shortcut"
            )
        features.append(x)
        if level < 2:
            down = weights / f"encoder.down.{level}.downsample.conv"
            x = F.conv2d(F.pad(x, (0, 1, 0, 1)), down.get("weight"), down.get("bias"), 2)
    decoder = weights / "decoder"
    x = (decoder / "conv_in").conv((weights / "post_quant_conv").conv(latent))
    x = plain_res_block(decoder / "mid.block_1", x, groups, "nin_shortcut")
    attention = decoder / "mid.attn_1"
    cells = (attention / "norm").group_norm(x, groups, 1e-6).flatten(2).transpose(1, 2)[:, None]
    read = attend(*((attention / part).linear(cells) for part in "qkv"))
    x = x + (attention / "proj_out").linear(read)[:, 0].transpose(1, 2).view_as(x)
    x = plain_res_block(decoder / "mid.block_2", x, groups, "nin_shortcut")
    for level in (3, 2, 1, 0):
        for number in range(3):
            x = plain_res_block(decoder / f"up.{level}.block.{number}", x, groups, "nin_shortcut")
        if level in (1, 2):
            fused = fuse(decoder / f"fusion_layer_{level}", features[level], x, groups)
            x = x + fusion_weight * fused
        if level:
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
            x = (decoder / f"up.{level}.upsample.conv").conv(x)
    x = F.silu((decoder / "norm_out").group_norm(x, groups, 1e-6))
    return (decoder / "conv_out").conv(x).clamp(-1, 1)
