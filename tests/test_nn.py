"""The public blocks honour masks and equal the textbook."""

from __future__ import annotations

import pytest
import torch

from rrgbench import ConfigError, Features
from rrgbench.nn import (
    Attention,
    AttentionBlock,
    FeedForward,
    SourceProjection,
    join,
    masked_mean,
    ordered,
    sinusoidal_positions,
)

torch.set_num_threads(1)

MASK = torch.tensor([[True, True, True], [True, False, False]])


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_a_masked_mean_is_that_of_the_real_tokens_even_beside_nan() -> None:
    hidden = torch.randn(2, 3, 4)
    expected = torch.stack([hidden[0].mean(0), hidden[1, 0]])
    hidden[1, 1:] = torch.nan
    assert torch.allclose(masked_mean(hidden, MASK), expected)


def test_sources_come_in_the_order_of_the_platform_whatever_order_they_were_given_in() -> None:
    assert ordered({"knowledge": 1, "zeta": 1, "text": 1, "alpha": 1, "image": 1}) == (
        "image",
        "text",
        "knowledge",
        "alpha",
        "zeta",
    )


def test_joining_lays_tokens_and_masks_end_to_end() -> None:
    first, second = torch.randn(2, 3, 4), torch.randn(2, 1, 4)
    joined = join([Features(first, MASK), Features(second, torch.ones(2, 1, dtype=torch.bool))])
    assert torch.equal(joined.hidden_states, torch.cat([first, second], 1))
    assert joined.mask.tolist() == [[True, True, True, True], [True, False, False, True]]


def test_attention_equals_that_of_torch() -> None:
    ours, theirs = Attention(8, 2), torch.nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key_value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key_value.bias]))
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    queries, context = torch.randn(2, 5, 8), torch.randn(2, 3, 8)
    expected, _ = theirs(queries, context, context, key_padding_mask=~MASK)
    assert torch.allclose(ours(queries, context, MASK), expected, atol=1e-6)


def test_causal_attention_equals_a_triangular_mask() -> None:
    ours, hidden = Attention(8, 2), torch.randn(2, 5, 8)
    whole = ours.attend(hidden, *ours.keys_values(hidden), causal=True)
    for place in range(5):
        seen = hidden[:, : place + 1]
        assert torch.allclose(whole[:, place], ours(seen[:, -1:], seen)[:, 0], atol=1e-6)


def test_heads_that_do_not_divide_the_width_are_an_error_that_says_so() -> None:
    with pytest.raises(ConfigError, match="got 3 heads for a width of 8; expected a divisor of 8"):
        Attention(8, 3)


def test_a_block_reads_real_tokens_only_its_own_or_those_of_a_context() -> None:
    block = AttentionBlock(8, 2)
    hidden, context = torch.randn(2, 3, 8), torch.randn(2, 3, 8)
    noisy_hidden = torch.where(MASK.unsqueeze(-1), hidden, 9.0)
    noisy_context = torch.where(MASK.unsqueeze(-1), context, 9.0)
    assert torch.allclose(block(hidden, MASK)[MASK], block(noisy_hidden, MASK)[MASK], atol=1e-6)
    assert torch.allclose(block(hidden, MASK, context), block(hidden, MASK, noisy_context), atol=1e-6)
    assert not torch.allclose(block(hidden, MASK, context), block(hidden, MASK, context.flip(2)), atol=1e-2)


def test_a_feed_forward_is_four_times_as_wide_where_nothing_is_said() -> None:
    assert FeedForward(8)[0].out_features == 32
    assert FeedForward(8, 5)[0].out_features == 5


def test_a_projection_makes_parameters_for_the_sources_it_is_told_of_alone() -> None:
    project = SourceProjection({"text": 6, "image": 4}, 8)
    assert {name.split(".")[1] for name, _ in project.named_parameters()} == {"image", "text"}
    views = torch.ones(2, 3, dtype=torch.int64)
    features = {"text": Features(torch.randn(2, 3, 6), MASK), "image": Features(torch.randn(2, 3, 4), MASK, views)}
    projected = project(features)
    assert list(projected) == ["image", "text"]
    assert all(one.hidden_states.shape == (2, 3, 8) for one in projected.values())
    assert projected["image"].view_ids is views


def test_the_order_of_sources_does_not_change_what_is_drawn() -> None:
    def drawn(*names: str) -> dict[str, torch.Tensor]:
        torch.manual_seed(3)
        return SourceProjection(dict.fromkeys(names, 4), 8).state_dict()

    first, second = drawn("image", "text"), drawn("text", "image")
    assert list(first) == list(second)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_sinusoidal_positions_do_not_depend_on_where_a_row_starts() -> None:
    whole = sinusoidal_positions(torch.arange(10), 6)
    assert whole.shape == (10, 6)
    assert torch.equal(whole[7:], sinusoidal_positions(torch.arange(7, 10), 6))
    assert torch.allclose(whole[0], torch.tensor([0.0, 0, 0, 1, 1, 1]))
    assert len({tuple(row) for row in whole.tolist()}) == 10
