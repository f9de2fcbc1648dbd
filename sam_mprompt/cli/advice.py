"""What the command line adds to an error of the core: the next command to try, by what the error is about."""

from ..errors import SamMpromptError

ADVICE: dict[str, str] = {
    "adapter": "See 'sam-mprompt adapters list'.",
    "data": "See 'sam-mprompt data check {root}'.",
    "data folder": "Or name it with --data DIR.",
    "masks folder": "Make it with 'sam-mprompt masks --out {folder}'.",
    "no boxes": "Use --set targets.pseudo_mask=points.",
    "override": "Give it as --set KEY=VALUE.",
    "procedural data": "Choose one with --recipe, or leave out --data.",
    "pseudo mask": "Make it with 'sam-mprompt masks'.",
    "recipe": "See 'sam-mprompt recipes list'.",
}
"""By `SamMpromptError.about`; `{name}` stands for a fact of the error."""


def advised(error: BaseException) -> str:
    """Return an error's message with the command to try next behind it, where there is one."""
    message = str(error)
    if not isinstance(error, SamMpromptError) or not error.about:
        return message
    return f"{message} {ADVICE[error.about].format(**error.facts)}"
