"""The parts; every module in this folder is imported, which registers its parts in `PARTS`."""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
