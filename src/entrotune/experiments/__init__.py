"""What joins training, evaluation and reports: the commands' functions, a module each.

Nothing is imported here: a command loads its own module, and `entrotune` offers them all by name.
"""
