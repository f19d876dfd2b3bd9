"""segunc: is segmentation uncertainty useful? The study of Czolbe et al. (IPMI 2021) as a cached workflow.

For other programs, it offers the names of `segunc.library`, such as `segunc.ged`, and `segunc.__version__`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segunc.library import *  # noqa: F403

    __version__: str


def __getattr__(name: str) -> Any:
    """Imports the library when one of its names is first used: each job imports this package, and nothing with it."""
    from importlib import import_module, metadata, util

    if name == "__version__":
        return metadata.version("segunc")
    # Python asks here for modules too, as in `from segunc import cells`.
    if not name.startswith("_") and util.find_spec(f"segunc.{name}") is None:
        library = import_module("segunc.library")
        if name in library.__all__:
            return getattr(library, name)
    raise AttributeError(f"module 'segunc' has no attribute {name!r}")
