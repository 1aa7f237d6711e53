"""The one exception that means "the user can fix this"."""


class UserError(ValueError):
    """Bad input, told in one sentence: what was got, what was expected, what to do.

    The command line prints it without a traceback and exits with code 2.
    """
