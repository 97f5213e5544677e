"""Errors that a user of the platform can do something about."""


class PlatformError(Exception):
    """Something is wrong with the platform on this machine.

    The message is one line: what was expected, what was found, and what to do.
    """
