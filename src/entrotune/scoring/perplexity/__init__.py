"""How well models predict given texts: perplexity over sliding windows, masked tokens or a decoder, and its units."""
