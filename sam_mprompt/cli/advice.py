"""What the command line adds to an error of the core: the next command to try, by what the error is about."""

from ..errors import SamMpromptError

ADVICE: dict[str, str] = {
    "checkpoint": "Run 'sam-mprompt checkpoints pull {name}'.",
    "package": "Run 'pip install {package}'.",
    "broken package": "Run 'pip install --force-reinstall {package}'.",
    "opencv library": (
        "Install the system's library that it names, or run "
        "'pip uninstall -y opencv-python' and 'pip install opencv-python-headless'."
    ),
    "several distributions": "Run 'pip uninstall -y {others}' and 'pip install --force-reinstall {package}'.",
    "little memory": "Close other programs, give the container more, or lower --batch-size and infer.tile.",
    "shared memory": "In a container --shm-size=2g (Docker) gives more; train.workers=0 needs none.",
    "threads": "Set OMP_NUM_THREADS={cores}.",
    "cache folder": "Make it writable, or name another one with $SAM_MPROMPT_CACHE or $TMPDIR.",
    "full disk": "Make room there, or name other folders with $SAM_MPROMPT_CACHE, $SAM_MPROMPT_CHECKPOINTS or $TMPDIR.",
    "self-test": "Report it, with all that 'sam-mprompt doctor' printed.",
    "web page": "For a registered one, 'sam-mprompt checkpoints pull NAME' does.",
    "hub login": "Log in with 'hf auth login', or set $HF_TOKEN.",
    "hub away": "What was fetched before is read without a connection, by the names of 'sam-mprompt adapters list'.",
    "hub licence": "Give one with --license ID.",
    "hub public": "Give --public to publish it there.",
    "adapter": "See 'sam-mprompt adapters list'.",
    "data": "See 'sam-mprompt data check {root}'.",
    "embedded images": "Write them beside it with 'sam-mprompt data unpack {root}'.",
    "labels": "Give it with --label NAME; a recipe says so with data.label.",
    "no labels": "Leave out --label, or data.label of the recipe.",
    "columns": "Give them as --columns {columns}; a recipe says so with data.columns.",
    "data folder": "Or name it with --data DIR.",
    "masks folder": "Make it with 'sam-mprompt masks --out {folder}'.",
    "no boxes": "Use --set targets.pseudo_mask=points.",
    "override": "Give it as --set KEY=VALUE.",
    "too many pixels": "Or accept more: count, evaluate, masks and data check take --max-pixels N.",
    "procedural data": "Choose one with --recipe, or leave out --data.",
    "pseudo mask": "Make it with 'sam-mprompt masks'.",
    "recipe": "See 'sam-mprompt recipes list'.",
    "run in use": "Give another --out, or --resume to go on with it.",
    "nothing to resume": "Leave --resume out to start a run.",
    "nothing saved": "Leave --resume out: the same command starts it anew.",
    "damaged state": "Start without --resume.",
    "lost worker": "Then go on with --resume; in a container --shm-size=2g (Docker) gives more shared memory.",
    "lost process": "Then go on with --resume.",
    "diverged": "Then go on with --resume.",
    "stopped": "Go on with --resume --out {run}",
    "stopped between saves": "Go on from the last saved state with --resume --out {run}",
    "other job": "Give another one with --to.",
    "other masks": "Choose another --out.",
    "no run for masks": "Give it with --run DIR.",
    "no boxes for masks": "Use --source points, segmenter or sam.",
    "frame rate": "Give it with --fps N.",
    "stopped video": "Go on with --resume-csv.",
    "other training": "Give another folder with --out.",
    "trained without test": (
        "Leave --test out and count '{run}' with 'sam-mprompt evaluate', or give another folder with --out."
    ),
    "no test split": "Leave out --test.",
    "another base": "Give the right one with --base.",
    "several tools": "Or choose one with --format: {tools}.",
    "output holds files": "Give another one with --out, or write into it with --overwrite.",
    "empty split": "Look at the dataset with 'sam-mprompt data check DIR'.",
    "extra": "Install it with: pip install 'sam-mprompt[{extra}]'.",
    "token": "Set ${variable} or give --token-file FILE; or --without-token where nobody else can reach it.",
    "export folder": "Give another one with --to.",
    "exported": "Make one with 'sam-mprompt export ADAPTER --format onnx --to FILE.onnx'.",
    "capture": "Or fix its sides with --tile N.",
}
"""By `SamMpromptError.about`; `{name}` stands for a fact of the error."""


def advised(error: BaseException) -> str:
    """Return an error's message with the command to try next behind it, where there is one."""
    message = str(error)
    if not isinstance(error, SamMpromptError) or not error.about:
        return message
    return f"{message} {ADVICE[error.about].format(**error.facts)}"
