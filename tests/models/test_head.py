"""The head as found equals the head as the model uses it, family by family."""

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertLMHeadModel,
    ElectraConfig,
    ElectraForCausalLM,
    Llama4ForCausalLM,
    Llama4TextConfig,
    ModernBertDecoderConfig,
    ModernBertDecoderForCausalLM,
)

from entrotune.errors import UserError
from entrotune.models import attach_lora, backbone, check_head, find_head, plain_logits
from tiny import llama_saying

SMALL = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GPT = {
    "vocab_size": 61,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
MLA = {"q_lora_rank": 16, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8}
INKLING = {"head_dim": 8, "n_routed_experts": 4, "moe_intermediate_size": 16, "num_experts_per_tok": 2}
MAMBA = {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_n_groups": 1, "mamba_d_state": 8}

WITHOUT_GROUPS = {name: value for name, value in SMALL.items() if name != "num_key_value_heads"}
ONE_LAYER = {
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
}

# Each scale and cap is far from 1 so that forgetting it shows.
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", SMALL),
    "llama-tied": ("llama", {**SMALL, "tie_word_embeddings": True}),
    "gpt2": ("gpt2", GPT),
    "gptj-bias": ("gptj", {**GPT, "rotary_dim": 4}),
    "gemma2": ("gemma2", {**SMALL, "final_logit_softcapping": 0.3, "head_dim": 8}),
    "gemma3": ("gemma3_text", {**SMALL, "final_logit_softcapping": 0.3, "head_dim": 8}),
    "recurrent_gemma": ("recurrent_gemma", {**SMALL, "logits_soft_cap": 0.3, "lru_width": 32}),
    "cohere": ("cohere", {**SMALL, "logit_scale": 0.2}),
    "cohere2": ("cohere2", {**SMALL, "logit_scale": 0.2}),
    "granite": ("granite", {**SMALL, "logits_scaling": 5.0}),
    "hyperclovax": ("hyperclovax", {**SMALL, "logits_scaling": 5.0}),
    "minicpm3": ("minicpm3", {**SMALL, **MLA, "num_key_value_heads": 4, "dim_model_base": 8}),
    "falcon_h1": ("falcon_h1", {**SMALL, **MAMBA, "lm_head_multiplier": 0.2, "head_dim": 8}),
    "inkling": ("inkling_text", {**SMALL, **INKLING, "logits_mup_width_multiplier": 5.0}),
    "mixtral": ("mixtral", {**SMALL, **EXPERTS}),
    "qwen3_moe": ("qwen3_moe", {**SMALL, **EXPERTS, "head_dim": 8}),
}


def tiny(family: str) -> Any:
    kind, values = FAMILIES[family]
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **values)).eval()
    for parameter in find_head(model).module.parameters():
        nn.init.normal_(parameter, std=0.5)  # logits of about ±3: a cap bends them, a bias moves them
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_head_reproduces_the_models_logits(family: str) -> None:
    model = tiny(family)
    head = find_head(model)
    ids = torch.randint(3, 61, (2, 7))
    with torch.no_grad():
        hidden = backbone(model)(input_ids=ids, use_cache=False).last_hidden_state
        expected = model(input_ids=ids, use_cache=False).logits
        found = plain_logits(hidden, head)
    assert expected.std() > 0.05
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    check_head(model)


def test_families_cover_every_attribute() -> None:
    heads = {name: find_head(tiny(name)) for name in FAMILIES}
    assert heads["cohere"].logit_scale == 0.2
    assert heads["granite"].logit_scale == pytest.approx(0.2)
    assert heads["inkling"].logit_scale == pytest.approx(0.2)
    assert heads["hyperclovax"].logit_scale == 5.0
    assert heads["minicpm3"].logit_scale == pytest.approx(0.25)
    assert heads["falcon_h1"].logit_scale == 0.2
    assert heads["gemma2"].softcap == heads["gemma3"].softcap == heads["recurrent_gemma"].softcap == 0.3
    assert heads["llama"].softcap is None
    assert heads["gptj-bias"].bias is not None
    tied = tiny("llama-tied")
    assert find_head(tied).weight is tied.get_input_embeddings().weight


def test_check_head_refuses_a_model_that_does_something_else_to_its_logits() -> None:
    model = tiny("llama")
    model.lm_head.register_forward_hook(lambda _module, _inputs, output: output * 1.5)
    with pytest.raises(UserError, match="LlamaForCausalLM is not understood"):
        check_head(model)


NO_CAUSAL_HEAD: dict[str, tuple[Any, str]] = {
    # Their heads pass hidden states through a layer of their own before the weight that is found.
    "bert": (lambda: BertLMHeadModel(BertConfig(**WITHOUT_GROUPS, is_decoder=True)), "logits differ by"),
    "modernbert": (
        lambda: ModernBertDecoderForCausalLM(ModernBertDecoderConfig(**WITHOUT_GROUPS, cls_token_id=1, sep_token_id=2)),
        "logits differ by",
    ),
    "electra": (
        lambda: ElectraForCausalLM(ElectraConfig(**WITHOUT_GROUPS, embedding_size=16, is_decoder=True)),
        r"hidden states are 32 wide and its weight is \(61, 16\)",
    ),
    "bart": (
        lambda: BartForConditionalGeneration(BartConfig(vocab_size=61, d_model=32, **ONE_LAYER)),
        "BartForConditionalGeneration is an encoder with a decoder; expected a causal language model",
    ),
    "llama4": (
        lambda: Llama4ForCausalLM(Llama4TextConfig(**SMALL, head_dim=8, num_local_experts=2, intermediate_size_mlp=48)),
        "Llama4ForCausalLM does not say which module is its backbone",
    ),
    "half a model": (lambda: _half(tiny("llama")), "are torch.bfloat16 and the head is torch.float32; convert one"),
}


def _half(model: Any) -> Any:
    model.model.bfloat16()
    return model


@pytest.mark.parametrize("kind", NO_CAUSAL_HEAD)
def test_a_head_that_is_not_understood_is_told(kind: str) -> None:
    make, says = NO_CAUSAL_HEAD[kind]
    torch.manual_seed(0)
    with pytest.raises(UserError, match=says):
        check_head(make())


def test_check_head_knows_tokens_that_cannot_be_from_broken_weights() -> None:
    check_head(llama_saying(range(5, 9)))  # -inf for all others
    model = tiny("llama")
    model.lm_head.weight.data[5] = torch.nan
    with pytest.raises(UserError, match=r"not numbers \(nan\), so its weights are broken"):
        check_head(model)


def test_under_autocast_a_head_may_have_another_precision() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        check_head(_half(tiny("llama")))


def test_check_head_leaves_training_mode_as_it_was() -> None:
    model = tiny("llama").train()
    check_head(model)
    assert model.training


def test_head_is_found_through_lora_and_the_backbone_sees_the_adapter() -> None:
    plain = tiny("llama")
    weight = find_head(plain).weight
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        before = backbone(plain)(input_ids=ids).last_hidden_state
        model = attach_lora(plain, rank=2)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(parameter)
        after = backbone(model)(input_ids=ids).last_hidden_state
        logits = model(input_ids=ids).logits
    assert find_head(model).weight is weight
    assert not torch.allclose(before, after)
    torch.testing.assert_close(plain_logits(after, find_head(model)), logits)


def test_adapter_on_the_head_is_refused() -> None:
    model = get_peft_model(tiny("llama"), LoraConfig(task_type="CAUSAL_LM", target_modules=["lm_head"]))
    with pytest.raises(UserError, match="adapter on the output head"):
        find_head(model)


def test_trained_tokens_on_a_tied_head_are_refused() -> None:
    config = LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"], trainable_token_indices=[3, 4])
    model = get_peft_model(tiny("llama-tied"), config)
    with pytest.raises(UserError, match="adapter on the output head"):
        find_head(model)


def test_head_trained_whole_is_the_trained_copy() -> None:
    plain = tiny("llama")
    frozen = plain.lm_head.weight
    model = get_peft_model(
        plain, LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"], modules_to_save=["lm_head"])
    )
    head = find_head(model)
    assert head.weight.requires_grad
    assert head.weight is not frozen
    with model.disable_adapter():
        assert find_head(model).weight is frozen


def test_model_without_a_head_is_refused() -> None:
    with pytest.raises(UserError, match="no output head"):
        find_head(tiny("llama").model)
