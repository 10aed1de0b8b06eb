"""Numbers of things in words."""


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """
    >>> counted(1, "job"), counted(2, "job"), counted(0, "study", "studies")
    ('1 job', '2 jobs', '0 studies')
    """
    return f"{number} {singular if number == 1 else plural or singular + 's'}"
