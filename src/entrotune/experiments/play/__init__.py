"""`entrotune play`: a local page on which a model's distributions are read, shaped and compared."""
