"""What licences are called: the identifiers of model cards on Hugging Face's Hub, SPDX's own in lower case."""

from ..errors import UsageError, did_you_mean

_IDENTIFIERS = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m
afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5
cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0
cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0
cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl
lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl openmdw-1.0
openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license
fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 gemma unknown other
"""
LICENCES = frozenset(_IDENTIFIERS.split())
"""As the Hub's documentation lists them; `other` and `unknown` stand for all that it has no identifier of."""


def checked_licence(name: str, what: str = "licence") -> str:
    """Return a licence's identifier, whatever its case.

    Args:
        name: such as "apache-2.0" or SPDX's "Apache-2.0".
        what: how the message calls it.

    Raises:
        UsageError: the Hub has none of that name; suggests the nearest.
    """
    found = name.strip().lower()
    if found not in LICENCES:
        raise UsageError(
            f"{what}: expected an identifier of the Hub's, such as 'apache-2.0', 'cc-by-nc-4.0' or 'other', got "
            f"{name!r}.{did_you_mean(found, LICENCES)}"
        )
    return found


def forbids_commerce(name: str) -> bool:
    """Whether a licence's identifier says that it allows no commercial use."""
    return "-nc-" in f"{name}-" or "noncommercial" in name or name.endswith("-research")


def licence_or_none(name: str) -> str:
    """Return a licence's identifier, or nothing where none was given. Raises UsageError as `checked_licence`."""
    return checked_licence(name, "a licence") if name else name
