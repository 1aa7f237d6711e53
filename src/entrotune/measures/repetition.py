"""Repetition among the samples of one prompt: self-BLEU and how well they compress."""

import math
import zlib
from collections.abc import Sequence

from sacrebleu.metrics.bleu import BLEU

from entrotune.measures.words import require_texts, words

# Raw deflate has neither header nor checksum; what is left of its frame is what it writes for no input at all.
_EMPTY_DEFLATE_BYTES = 2


def self_bleu(texts: Sequence[str]) -> float:
    """Mean sentence BLEU of each sample against all other samples as references, 0 to 100; lower is more diverse.

    sacrebleu's BLEU-4 over `words`, exponential smoothing, and effective order: a sample of fewer than four words is
    judged by the n-grams it has (Zhu et al. 2018, arXiv 1802.01886, for the idea). A sample without words, for which
    BLEU says 0, scores 100 where another sample has no words either: equal samples always score 100.
    NaN for fewer than two samples.
    """
    require_texts(texts)
    if len(texts) < 2:
        return math.nan
    samples = [" ".join(words(text)) for text in texts]
    bleu = BLEU(effective_order=True, tokenize="none", force=True)
    scores = {}
    for index, sample in enumerate(samples):
        if sample not in scores:
            # BLEU clips by the largest count over references: a reference given twice changes nothing.
            others = list(dict.fromkeys(samples[:index] + samples[index + 1 :]))
            scores[sample] = 100.0 if sample in others else bleu.sentence_score(sample, others).score
    return math.fsum(scores[sample] for sample in samples) / len(samples)


def compression_ratio(texts: Sequence[str]) -> float:
    """UTF-8 bytes of the samples over their deflated bytes; higher is more repetitive (Shaib et al. 2024, 2403.00553).

    The samples are joined by line feeds in sorted order, so the ratio does not depend on the order of sampling.
    For tiny texts the frame would count for more than the content: raw deflate is used, which has no header and no
    checksum, and the 2 bytes it gives for no input are subtracted, so that a text of one letter has ratio 1.
    The ratio grows with the amount of text: compare only equal numbers of samples of similar length.
    NaN where there is nothing but white space.
    """
    require_texts(texts)
    joined = "\n".join(sorted(texts))
    if not joined.strip():
        return math.nan
    original = joined.encode("utf-8", errors="surrogatepass")
    deflated = zlib.compress(original, level=9, wbits=-zlib.MAX_WBITS)
    return len(original) / (len(deflated) - _EMPTY_DEFLATE_BYTES)
