"""Globs of kernel modules: one that matches nothing is a mistake, unless the profile knows."""

import pytest

from image.errors import ImageError
from image.parts.kernel import check_patterns
from image.recipe.recipe import Recipe

PATHS = ["usr/lib/modules/6.12/kernel/fs/btrfs/btrfs.ko"]


def test_a_glob_without_a_module_is_refused_unless_the_kernel_is_known_to_have_none() -> None:
    check_patterns(Recipe("x", modules=("fs/btrfs/*", "!fs/ext4/*")), PATHS)
    globs = ("fs/btrfs/*", "arch/x86/kvm/*")
    with pytest.raises(ImageError, match="the kernel has no module 'arch/x86/kvm/"):
        check_patterns(Recipe("x", modules=globs), PATHS)
    check_patterns(Recipe("x", modules=globs, modules_absent=("arch/x86/kvm/*",)), PATHS)
