"""Where an adapter's base comes from: its licence, and its repository on the Hub."""

from ..bases.hub import hub_repo
from ..bases.registry import lookup, read_registry
from ..recipe.schema import Recipe
from .licences_file import LicencesFile


def licences_of(recipe: Recipe, base: str) -> LicencesFile:
    """Return what is known of the licences of a recipe's base and images.

    Args:
        recipe: what an adapter is trained with.
        base: the base's name or file, which may be another one than the recipe's.
    """
    licence, hub_id = _registered(base) or _of_timm(recipe, base) or ("", "")
    return LicencesFile(base=licence, base_hub_id=hub_id, data=recipe.data.licence)


def _registered(base: str) -> tuple[str, str] | None:
    entry = lookup(base.replace("\\", "/").rpartition("/")[2] if hub_repo(base) is None else base, read_registry())
    return None if entry is None else (entry.licence, entry.hub_id)


def _of_timm(recipe: Recipe, base: str) -> tuple[str, str] | None:
    """Return what timm says of weights that it publishes itself."""
    if recipe.model.encoder != "timm" or not recipe.model.pretrained or recipe.model.weights:
        return None
    import timm

    try:
        found = timm.models.get_pretrained_cfg(base, allow_unregistered=True)
    except RuntimeError:  # an architecture whose weights of that name are gone
        return None
    return None if found is None else (found.license or "", found.hf_hub_id or "")
