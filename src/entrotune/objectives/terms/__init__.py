"""The terms, one file each; every module in this folder is imported, which registers its terms in `TERMS`."""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
