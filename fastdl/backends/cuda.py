"""Matrix products and attention on GPUs."""

from .. import settings

__all__ = ["matmul"]


class _Matmul:
    @property
    def allow_tf32(self):
        """Whether float32 operands may be rounded to TF32: False unless set. See `set_float32_matmul_precision`."""
        return settings.get_float32_matmul_precision() != "highest"

    @allow_tf32.setter
    def allow_tf32(self, allowed):
        settings.set_float32_matmul_precision("high" if allowed else "highest")


matmul = _Matmul()
