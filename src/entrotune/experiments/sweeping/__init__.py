"""A sweep: the space, the study, a trial, and what is said of all of them."""
