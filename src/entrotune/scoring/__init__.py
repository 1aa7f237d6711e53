"""How uncertain a model is about text: scores of rows on disk, and what is made of them.

Of this room only the reading of score folders is imported here: it needs neither torch nor a model.
"""

from entrotune.scoring.folder import Scores, read_scores

__all__ = ["Scores", "read_scores"]
