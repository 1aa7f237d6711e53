"""A tokenizer of whole words, from the texts it is to read."""

from collections import Counter
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from entrotune.errors import UserError

PAD, END, UNKNOWN = "<pad>", "<eos>", "<unk>"
SPECIAL = (PAD, END, UNKNOWN)
_WORD = r"\w+(?:['’]\w+)*|[^\w\s]"
# A line break is no word: a prompt and what follows it read as one text, which ends with the answer.
_TEMPLATE = (
    "{% for m in messages %}{{ m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% else %}{{ '\\n' }}{% endif %}{% endfor %}"
)


def word_tokenizer(
    texts: Iterable[str], *, vocabulary: int = 10_000, lowercase: bool = True
) -> PreTrainedTokenizerFast:
    """Make a tokenizer of the most frequent words and punctuation marks; ties go by the alphabet.

    Any other word is `<unk>`. White space is lost, and words are joined by one space when decoded. Chats are written
    as their turns, each assistant's closed with `<eos>`.

    Args:
        texts: what the words are counted in.
        vocabulary: tokens at most, `<pad>`, `<eos>` and `<unk>` included.
        lowercase: read capitals as small letters.

    Raises:
        UserError: no word in the texts, or a vocabulary without room for two words.
    """
    if vocabulary < len(SPECIAL) + 2:
        raise UserError(
            f"vocabulary is {vocabulary}; expected at least {len(SPECIAL) + 2}: {', '.join(SPECIAL)} and two words"
        )
    normal = [normalizers.NFC(), *([normalizers.Lowercase()] if lowercase else [])]
    inner = Tokenizer(models.WordLevel(vocab={}, unk_token=UNKNOWN))
    inner.normalizer = normalizers.Sequence(normal)
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(_WORD), "removed", invert=True)
    counts = Counter(word for text in texts for word in words_of(inner, text))
    if not counts:
        raise UserError("there is no word in the texts to make a vocabulary of; give other data")
    frequent = sorted(counts, key=lambda word: (-counts[word], word))[: vocabulary - len(SPECIAL)]
    words = {word: number for number, word in enumerate([*SPECIAL, *frequent])}
    inner.model = models.WordLevel(vocab=words, unk_token=UNKNOWN)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token=PAD, eos_token=END, unk_token=UNKNOWN, clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = _TEMPLATE
    return tokenizer


def words_of(inner: Tokenizer, text: str) -> list[str]:
    """The words of a text, known or not."""
    assert inner.normalizer is not None
    assert inner.pre_tokenizer is not None
    return [word for word, _ in inner.pre_tokenizer.pre_tokenize_str(inner.normalizer.normalize_str(text))]
