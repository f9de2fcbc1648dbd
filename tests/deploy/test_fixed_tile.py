import numpy as np

from sam_mprompt.deploy.fixed_tile import on_a_fixed_tile


def test_the_network_sees_zeros_at_the_bottom_and_right_and_the_tile_itself():
    seen = []

    def run(tiles):
        seen.append(tiles)
        return tiles[:, 0, ::4, ::4]

    tiles = np.random.default_rng(0).standard_normal((2, 3, 16, 24)).astype(np.float32)
    found = on_a_fixed_tile(run, tiles, 32, 4)
    expected = np.zeros((2, 3, 32, 32), np.float32)
    expected[:, :, :16, :24] = tiles
    np.testing.assert_array_equal(seen[0], expected)
    np.testing.assert_array_equal(found, tiles[:, 0, ::4, ::4])


def test_a_tile_of_the_right_size_and_free_sides_are_run_as_they_are():
    tiles = np.ones((1, 3, 32, 32), np.float32)
    for tile in (32, None):
        assert on_a_fixed_tile(lambda whole: whole, tiles, tile, 1) is tiles
