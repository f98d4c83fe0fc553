"""The documents of the specifications, as the package olot has their schemas."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # its classes are in an older style of pydantic
    from olot.modelpack import const
    from olot.modelpack.model_config import Model
    from olot.oci.oci_config import OCIManifestConfig
    from olot.oci.oci_image_index import OCIImageIndex
    from olot.oci.oci_image_manifest import OCIImageManifest

__all__ = ["Model", "OCIImageIndex", "OCIImageManifest", "OCIManifestConfig", "const"]
