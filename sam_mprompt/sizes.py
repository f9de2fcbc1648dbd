"""Which sizes of images and tiles go together. One rule for recipes and for counting, free of any import."""


def sides_fault(min_side: int, max_side: int) -> str:
    """Say what is wrong with the limits of an image's sides, or return ""."""
    return "" if 1 <= min_side <= max_side else f"expected 1 to max_side = {max_side}, got {min_side}"


def overlap_fault(tile: int, overlap: int) -> str:
    """Say what is wrong with the overlap of tiles, or return "". More than half would count a pixel in three tiles."""
    return "" if 0 <= 2 * overlap <= tile else f"expected 0 to half of tile = {tile}, got {overlap}"
