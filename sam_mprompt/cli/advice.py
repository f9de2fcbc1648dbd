"""What the command line adds to an error of the core: the next command to try, by what the error is about."""

from ..errors import SamMpromptError

ADVICE: dict[str, str] = {
    "recipe": "See 'sam-mprompt recipes list'.",
    "checkpoint": "Run 'sam-mprompt checkpoints pull {name}'.",
    "web page": "For a registered one, 'sam-mprompt checkpoints pull NAME' does.",
    "adapter": "See 'sam-mprompt adapters list'.",
}
"""By `SamMpromptError.about`; `{name}` stands for a fact of the error."""


def advised(error: BaseException) -> str:
    """Return an error's message with the command to try next behind it, where there is one."""
    message = str(error)
    if not isinstance(error, SamMpromptError) or not error.about:
        return message
    return f"{message} {ADVICE[error.about].format(**error.facts)}"
