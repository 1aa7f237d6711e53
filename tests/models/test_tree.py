"""A tree in one pass predicts what each path predicts on its own, and models that cannot are refused."""

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, GPT2Config, GPT2LMHeadModel, MambaConfig, MambaForCausalLM

from entrotune.data.targets import build_trie
from entrotune.errors import UserError
from entrotune.models import check_tree, tree_loss
from tiny import SHAPE, tiny_llama
from tolerances import EXACT, SINGLE

PROMPT = (5, 6, 7, 8)
SEQUENCES = ((10, 2), (10, 11, 2), (10, 12, 13, 2), (14, 2), (15, 11, 2))


def models() -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    gemma = Gemma2ForCausalLM(Gemma2Config(**SHAPE, head_dim=8, final_logit_softcapping=2.0))
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=300, n_positions=64, n_embd=32, n_layer=2, n_head=2))
    eager = tiny_llama(attn_implementation="eager")
    return {"llama": tiny_llama(), "eager": eager, "gemma2": gemma.eval(), "gpt2": gpt2.eval()}


@pytest.mark.parametrize("name", ["llama", "eager", "gemma2", "gpt2"])
def test_each_path_is_predicted_as_alone(name: str) -> None:
    model = models()[name].double()  # but norms of Llama and Gemma round to float32 in between
    trie = build_trie(SEQUENCES, [1.0] * len(SEQUENCES))
    check_tree(model, PROMPT, trie)
    with torch.no_grad():
        edges = tree_loss(model, PROMPT, trie).log_probs
        for sequence, path in zip(SEQUENCES, trie.paths, strict=True):
            logits = model(input_ids=torch.tensor([[*PROMPT, *sequence]])).logits[0, len(PROMPT) - 1 : -1]
            plain = logits.log_softmax(-1).gather(-1, torch.tensor(sequence)[:, None])[:, 0]
            torch.testing.assert_close(edges[list(path)], plain, **(EXACT if name == "gpt2" else SINGLE))


def test_a_recurrent_model_is_refused() -> None:
    torch.manual_seed(0)
    model = MambaForCausalLM(MambaConfig(vocab_size=300, hidden_size=32, num_hidden_layers=2, state_size=4)).eval()
    torch.nn.init.normal_(model.get_input_embeddings().weight, std=1.0)
    with pytest.raises(UserError, match="does not follow a tree of tokens"):
        check_tree(model, PROMPT, build_trie(SEQUENCES, [1.0] * len(SEQUENCES)))
