"""What a user did that cannot work, said in one line."""


class UserError(Exception):
    """A fault that its reader can mend: what is wrong, in which file or option, and what to do.

    It is shown as one line without a traceback, and the program ends with a non-zero status.
    """
