"""What the small LSTM knows the words of."""

TEXTS = ("The cat sat on the mat.", "Don't panic, said the cat!", "A dog ran; the cat ran too.", "Who sat where?")
