"""The platform's greedy search over the decoder ``causal_lm`` beside transformers' own ``generate``.

The same small GPT-2 writes the same studies from the same prefix, 16 at a time, 60 tokens each whatever it finds; both must write
the same reports. Films and text are encoded and words decoded on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from measuring import Comparison, Second, Side
from rrgbench_decoders import CausalLM
from rrgbench_fusions import Concat
from world import WIDTH, World

from rrgbench.batches import StudySet
from rrgbench.generation import Decoding, generate
from rrgbench.model import Model

TOKENS, BATCH = 60, 16


def comparisons(world: World) -> Iterator[Comparison]:
    """The reports of the test split (of validate where it has to be quick)."""
    data, plain = world.study_set("validate" if world.quick else "test"), world.model()
    torch.manual_seed(0)
    decoder = CausalLM(world.tokenizer, hidden_size=2 * WIDTH)
    fusion = Concat({"image": plain.encoders["image"].num_features, "text": WIDTH}, decoder.hidden_size)
    model = Model(dict(plain.encoders.items()), fusion, decoder)
    decoding = Decoding(max_new_tokens=TOKENS, min_new_tokens=TOKENS)
    ours = Side("greedy search", lambda: generate(model, data, world.tokenizer, decoding, batch_size=BATCH))
    theirs = Side("transformers' generate", lambda: by_transformers(model, data, world))
    yield Comparison(ours, [Second("generation: transformers", theirs, lambda one, other: one == other)])


@torch.inference_mode()
def by_transformers(model: Model, data: StudySet, world: World) -> list[str]:
    """The same reports by the language model's own ``generate``."""
    decoder, tokenizer, reports = model.decoder.eval(), world.tokenizer, list[str]()
    for first in range(0, len(data), BATCH):
        memory = model.eval().memory(data.inputs_batch(range(first, min(first + BATCH, len(data)))))
        front, real, _ = decoder._front(memory)
        begin = decoder.lm.get_input_embeddings()(torch.full((len(real), 1), tokenizer.bos_token_id))
        found = decoder.lm.generate(
            inputs_embeds=torch.cat([front, begin], dim=1),
            attention_mask=torch.cat([real, torch.ones_like(real[:, :1])], dim=1).long(),
            max_new_tokens=TOKENS,
            min_new_tokens=TOKENS,
            do_sample=False,
            suppress_tokens=[tokenizer.bos_token_id, tokenizer.pad_token_id],
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        reports += [tokenizer.decode(ids) for ids in found.tolist()]
    return reports
