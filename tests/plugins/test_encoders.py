"""First-party encoders keep their contracts; odd models, films and files are told in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from PIL import Image
from rrgbench_encoders import Timm, Transformers, rrgbench_image_encoders, rrgbench_text_encoders

from rrgbench import ConfigError
from rrgbench.testing import ImageEncoderContract, TextEncoderContract, failures

torch.set_num_threads(1)

TINY = {"model": "test_resnet", "size": 64}


class TestTimm(ImageEncoderContract):
    component = Timm
    options = TINY


class TestTimmTransformerInColour(ImageEncoderContract):
    component = Timm
    options = {"model": "test_vit", "size": 64, "channels": 3, "horizontal_flip": True}


class TestTimmThatTurnsFilms(ImageEncoderContract):
    component = Timm
    options = {**TINY, "resize": "pad", "padding": "edge", "rotation": 15.0, "noise": 0.02, "horizontal_flip": True}


class TestTransformers(TextEncoderContract):
    component = Transformers
    options = {"hidden_size": 32, "max_length": 24}


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as ``save_pretrained`` leaves it, with a pooler that must go."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz.", *(f"##{c}" for c in "aeiou")]
    words += ["chest", "pain", "cough", "and", "shortness", "of", "breath"]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=40, **sizes)).save_pretrained(folder)
    return folder


def test_the_hooks_offer_them() -> None:
    assert rrgbench_image_encoders() == {"timm": Timm}
    assert rrgbench_text_encoders() == {"transformers": Transformers}


@pytest.mark.parametrize(
    ("model", "size", "tokens"),
    [
        ("test_resnet", 64, 4),  # (B, C, H, W)
        ("test_resnet", 96, 9),
        ("test_convnext", 64, 4),  # a norm in the head that nothing reads
        ("test_mambaout", 64, 4),  # (B, H, W, C)
        ("test_vit", 64, 16),  # a class token before the patches
        ("test_efficientnet", 128, 16),
        ("mixer_s32_224", 64, 4),  # (B, N, C) without prefix tokens
    ],
)
def test_every_shape_of_features_becomes_one_token_a_place(model: str, size: int, tokens: int) -> None:
    encoder = Timm(model=model, size=size)
    pixels = encoder.transform(torch.zeros(2, 1, size, size, dtype=torch.uint8), False)
    found = encoder(pixels)
    assert found.shape == (2, tokens, encoder.num_features)
    found.pow(2).sum().backward()
    assert not [name for name, parameter in encoder.named_parameters() if parameter.grad is None]


def test_tokens_stand_row_by_row_from_the_top_left() -> None:
    torch.manual_seed(0)
    encoder = Timm(**TINY).eval()
    film = torch.rand(1, 1, 64, 64)
    expected = encoder.model.forward_features(film)[0, :, 0, 1]
    assert torch.equal(encoder(film)[0, 1], expected)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_an_encoder_made_without_gradients_is_the_same(mode: Any) -> None:
    with mode():
        encoder = Timm(**{**TINY, "model": "test_convnext"})
    assert list(encoder.state_dict()) == list(Timm(**{**TINY, "model": "test_convnext"}).state_dict())
    assert all(parameter.requires_grad and not parameter.is_inference() for parameter in encoder.parameters())


def test_a_new_encoder_is_in_training_mode_as_every_module_is() -> None:
    assert all(module.training for module in Timm(**TINY).modules())


def test_normalisation_is_the_models_own_and_its_mean_for_one_channel() -> None:
    cfg = timm.get_pretrained_cfg("resnet10t")
    grey, colour = Timm(size=64), Timm(size=64, channels=3)
    black = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    expected = -torch.tensor(cfg.mean) / torch.tensor(cfg.std)
    assert torch.allclose(colour.transform(black, False)[0, :, 0, 0], expected)
    assert np.isclose(grey.transform(black[:, :1], False)[0, 0, 0, 0].item(), -np.mean(cfg.mean) / np.mean(cfg.std), atol=1e-6)
    assert not [name for name in grey.state_dict() if name in ("mean", "std")]


def test_training_shifts_every_film_by_its_own_and_at_most_the_margin() -> None:
    encoder = Timm(**TINY, crop=0.1, jitter=0.0)
    film = torch.zeros(1, 1, 64, 64, dtype=torch.uint8)
    film[..., 32, 32] = 255
    torch.manual_seed(0)
    bright = encoder.transform(film.repeat(40, 1, 1, 1), True).flatten(2).argmax(-1).squeeze(1)
    rows, columns = bright // 64 - 32, bright % 64 - 32
    assert rows.abs().max() <= 6 and columns.abs().max() <= 6
    assert len(set(zip(rows.tolist(), columns.tolist()))) > 20


def test_without_options_of_augmentation_training_is_evaluation() -> None:
    encoder = Timm(**TINY, crop=0.0, jitter=0.0)
    films = torch.randint(0, 256, (3, 1, 64, 64), dtype=torch.uint8)
    assert torch.equal(encoder.transform(films, True), encoder.transform(films, False))


def test_a_flip_mirrors_about_every_second_film_and_only_by_option() -> None:
    films = torch.arange(64, dtype=torch.uint8).repeat(200, 1, 64, 1)
    plain = Timm(**TINY, crop=0.0, jitter=0.0)
    torch.manual_seed(0)
    found = Timm(**TINY, crop=0.0, jitter=0.0, horizontal_flip=True).transform(films, True)
    mirrored = (found == plain.transform(films.flip(3), False)).flatten(1).all(1)
    straight = (found == plain.transform(films, False)).flatten(1).all(1)
    assert bool((mirrored ^ straight).all())
    assert 60 < int(mirrored.sum()) < 140


def test_lungs_are_found_before_a_film_is_fitted_and_a_segmenter_is_no_part_of_the_model() -> None:
    class Learnt(torch.nn.Module):
        identity = "learnt"

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, image: Image.Image) -> np.ndarray:
            return np.arange(image.width)[None].repeat(image.height, axis=0) < image.width // 2

    film = Image.fromarray(np.repeat(np.array([[200] * 40 + [10] * 40], dtype=np.uint8), 60, axis=0))
    encoder = Timm(**TINY, segmenter=Learnt())
    bright = encoder.prepare(film)
    assert bool((bright[..., :60] == 200).all())
    assert encoder.state_dict().keys() == Timm(**TINY).state_dict().keys()
    assert len(list(encoder.parameters())) == len(list(Timm(**TINY).parameters()))


def test_films_turned_in_training_are_not_those_of_evaluation() -> None:
    torch.manual_seed(0)
    films = torch.randint(0, 256, (4, 1, 64, 64), dtype=torch.uint8)
    encoder = Timm(**TINY, crop=0.0, jitter=0.0, rotation=20.0)
    assert not torch.allclose(encoder.transform(films, True), encoder.transform(films, False), atol=0.5)


def test_jitter_changes_intensity_and_not_geometry() -> None:
    encoder = Timm(**TINY, crop=0.0, jitter=0.2)
    films = torch.randint(0, 256, (4, 1, 64, 64), dtype=torch.uint8)
    torch.manual_seed(0)
    found, plain = encoder.transform(films, True).flatten(1), encoder.transform(films, False).flatten(1)
    correlations = [torch.corrcoef(torch.stack(pair))[0, 1].item() for pair in zip(found, plain)]
    assert min(correlations) > 0.999999
    ratios = (found.std(1) / plain.std(1)).tolist()
    assert all(0.79 < ratio < 1.21 for ratio in ratios) and len({round(ratio, 4) for ratio in ratios}) == 4


def test_sixteen_bits_are_spread_over_the_films_own_range() -> None:
    encoder = Timm(**TINY)
    ramp = np.linspace(1000, 5000, 64 * 64).reshape(64, 64).astype(np.uint16)
    pixels = encoder.prepare(Image.fromarray(ramp))
    assert (int(pixels.min()), int(pixels.max())) == (0, 255)
    flat = encoder.prepare(Image.fromarray(np.full((64, 64), 3000, dtype=np.uint16)))
    assert int(flat.max()) == 0


def test_an_unknown_model_is_told_with_near_names() -> None:
    with pytest.raises(ConfigError, match=r"`model` is not a model of timm; got resnet10x.*did you mean .*resnet10t"):
        Timm(model="resnet10x")


@pytest.mark.parametrize("size", [16, 64])
def test_films_too_small_for_a_model_are_told_at_once(size: int) -> None:
    with pytest.raises(ConfigError, match="inception_v3 cannot read a film") as caught:
        Timm(model="inception_v3", size=size)
    assert "\n" not in str(caught.value)


def test_pretrained_weights_without_a_network_are_one_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match=r"test_resnet cannot be made with pretrained weights.*`checkpoint`") as caught:
        Timm(**TINY, pretrained=True)
    assert "\n" not in str(caught.value)


def test_pretrained_and_checkpoint_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="two answers to one question"):
        Timm(**TINY, pretrained=True, checkpoint=Path("x.safetensors"))


def test_a_checkpoint_in_colour_with_a_classifier_is_read_for_grey_films(tmp_path: Path) -> None:
    torch.manual_seed(1)
    whole = timm.create_model("test_resnet", in_chans=3, num_classes=14).eval()
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(whole.state_dict(), path)
    encoder = Timm(**TINY, checkpoint=path).eval()
    grey = torch.rand(2, 1, 64, 64)
    expected = whole.forward_features(grey.repeat(1, 3, 1, 1)).flatten(2).transpose(1, 2)
    assert torch.allclose(encoder(grey), expected, atol=1e-4)


def test_a_checkpoint_of_another_model_or_of_no_model_is_an_error_that_names_it(tmp_path: Path) -> None:
    other, broken = tmp_path / "other.safetensors", tmp_path / "broken.safetensors"
    safetensors.torch.save_file({"x": torch.zeros(1)}, other)
    broken.write_bytes(b"\x80\x04pickle")
    with pytest.raises(ConfigError, match=r"other\.safetensors is not of this model.*got 0 of 75 tensors"):
        Timm(**TINY, checkpoint=other)
    for path in (broken, tmp_path / "absent.safetensors"):
        with pytest.raises(ConfigError, match=rf"{path.name} cannot be read.*expected a safetensors file") as caught:
            Timm(**TINY, checkpoint=path)
        assert "\n" not in str(caught.value)


def small(**options: Any) -> Transformers:
    torch.manual_seed(0)
    return Transformers(("the heart is large .", "the heart."), ("Chest pain", "chest X, pain"), hidden_size=16, **options)


def test_words_are_lower_case_with_punctuation_apart_and_rare_ones_unknown() -> None:
    tokenizer = small().tokenizer
    assert tokenizer.decode(tokenizer.encode("CHEST pain. xyz The heart")) == "chest pain . the heart"
    assert tokenizer.encode("xyz") == [tokenizer.bos_token_id, 3, tokenizer.eos_token_id]
    assert tokenizer.vocab_size == 4 + 5


def test_an_empty_context_is_a_class_and_an_end_token() -> None:
    tokenizer = small().tokenizer
    assert tokenizer.encode("  ") == [tokenizer.bos_token_id, tokenizer.eos_token_id]


def test_a_bert_in_a_folder_keeps_the_contract(tiny_bert: Path) -> None:
    assert failures("text_encoders", Transformers, {"checkpoint": tiny_bert, "max_length": 40}) == {}


def test_a_bert_in_a_folder_gives_what_transformers_gives(tiny_bert: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    encoder = Transformers((), (), checkpoint=tiny_bert, max_length=16).eval()
    ids = encoder.tokenizer.encode("Chest pain and cough.")
    assert ids == AutoTokenizer.from_pretrained(tiny_bert)("Chest pain and cough.")["input_ids"]
    assert encoder.tokenizer.decode(ids) == "chest pain and cough."
    batch = torch.tensor([ids])
    with torch.no_grad():
        expected = AutoModel.from_pretrained(tiny_bert).eval()(batch).last_hidden_state
        found = encoder(batch, torch.ones_like(batch, dtype=torch.bool))
    assert encoder.num_features == 16 and torch.allclose(found, expected, atol=1e-5)
    assert not [name for name, _ in encoder.named_parameters() if "pooler" in name]


def test_contexts_longer_than_the_model_reads_are_refused(tiny_bert: Path) -> None:
    with pytest.raises(ConfigError, match="got 64; expected at most 40"):
        Transformers((), (), checkpoint=tiny_bert)


def test_a_missing_folder_an_unreachable_name_and_broken_weights_are_one_line(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    import huggingface_hub.constants
    import transformers.utils.hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    for name in ("_is_offline_mode", "_hf_hub_offline"):
        if hasattr(transformers.utils.hub, name):
            monkeypatch.setattr(transformers.utils.hub, name, True)
    broken, pickled = tmp_path / "broken", tmp_path / "pickled"
    shutil.copytree(tiny_bert, broken)
    (broken / "model.safetensors").write_bytes(b"nothing")
    shutil.copytree(tiny_bert, pickled)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    wrong = [{"model": name} for name in ("nobody/no-such-model", "a b", str(tiny_bert), "./somewhere")]
    wrong += [{"checkpoint": folder} for folder in (tmp_path / "absent", tmp_path, broken, pickled)]
    for options in wrong:
        with pytest.raises(ConfigError, match=f"option `{next(iter(options))}`") as caught:
            Transformers((), (), **options)
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="one of them"):
        Transformers((), (), model="a/b", checkpoint=tiny_bert)
